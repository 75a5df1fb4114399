"""The world that the real programs live in during a test: everything they talk to, and the folders they own.

Nothing in here is shared with syncd: what a store holds, how tokens rotate and who spent what is worked out a
second time, so that a mistake made there is not made here as well.

    authority <-- http, loopback --------------- codex, syncd
        ^
        +------- proxy <-- https, by CONNECT --- openclaw

`authority` and `proxy` are processes of their own; `control` holds them for a test. `processes` runs the real
programs, each bounded and ended by its pid; `sandbox` is the environment they get; `homes` and `templates`
build what they find on disk, `stores` reads it, `waits` wait for it; `clients` are the programs; `syncd` is
the program under test.
"""
