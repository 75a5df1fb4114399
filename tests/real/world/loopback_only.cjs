// Loaded into every Node process of these tests before anything else: no name but localhost has an address.
//
// OpenClaw 2026.6.11 looks the token host up and connects to it past every proxy setting. With this in place it
// gets ENOTFOUND, on a machine with a network as on one without, and no fake token reaches a real provider.
"use strict";

const dns = require("node:dns");
const { isIP } = require("node:net");
const { syncBuiltinESMExports } = require("node:module");

const known = (host) => !host || host === "localhost" || isIP(host) !== 0;

const nowhere = (host) =>
  Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
    code: "ENOTFOUND",
    errno: -3008,
    hostname: host,
    syscall: "getaddrinfo",
  });

const { lookup } = dns;
dns.lookup = (host, ...rest) => {
  if (known(host)) return lookup(host, ...rest);
  const callback = rest.at(-1);
  return void process.nextTick(() => callback(nowhere(host)));
};

const promised = dns.promises.lookup;
dns.promises.lookup = async (host, ...rest) => {
  if (known(host)) return promised(host, ...rest);
  throw nowhere(host);
};

syncBuiltinESMExports();
