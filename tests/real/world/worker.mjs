// What an OpenClaw process does about a login, through the code of the installed package: line in, line out.
//
// It stands for the gateway: the same resolver, the same locks, the same snapshot in memory, without the half
// minute that a gateway takes to start. Usage: node worker.mjs PACKAGE_FOLDER, then one JSON object a line:
//   {"op":"hold","agents":[DIR,...]}                  keep a snapshot of these agents' stores, as a gateway does
//   {"op":"answer","agent":DIR,"provider":NAME}       resolve the key as a turn would, then use it in a turn
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const RESPONSES = "https://chatgpt.com/backend-api/codex/responses";
const sdk = (name) => import(pathToFileURL(`${process.argv[2]}/dist/plugin-sdk/${name}.js`).href);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const runtime = await sdk("agent-runtime");
const { resolveApiKeyForProvider } = await sdk("provider-auth-runtime");

async function turn(key) {
  const reply = await fetch(RESPONSES, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "fake", stream: true, input: "hi" }),
  });
  await reply.text();
  return reply.status;
}

const operations = {
  async hold({ agents }) {
    const snapshots = agents.map((agentDir) => ({
      agentDir,
      store: runtime.ensureAuthProfileStore(agentDir),
    }));
    runtime.replaceRuntimeAuthProfileStoreSnapshots(snapshots);
    return { held: agents.length };
  },
  async answer({ agent, provider }) {
    const { apiKey } = await resolveApiKeyForProvider({ provider, agentDir: agent });
    return { status: await turn(apiKey) };
  },
};

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    say(await operations[request.op](request));
  } catch (error) {
    say({ error: `${error?.name}: ${error?.message}` });
  }
}
process.exit(0);
