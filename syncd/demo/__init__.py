"""The demo: a real syncd between fake programs, in a folder that goes again, and a measured verdict at the end.

It imports nothing else of the house: what syncd did is read from the stores and from the authority's log, by code of
its own. So a fault of syncd's cannot hide behind the same fault here.

    tokens      logins that say of themselves that they are fake
    authority   the loopback server that gives tokens out, each for one use
    programs    what Codex and OpenClaw do with it: refresh, and take a turn
    stores      what a store is, and Codex's
    agents      OpenClaw's, in JSON and in SQLite
    sandbox     the folder with all of it, and what must stay as it is
    child       the syncd that is watched
    scene       what stands where just now
    pace        time: pauses for the eyes, and the bound
    lookout     waiting until the stores have followed
    story       the acts
    verdict     what was measured, line by line
    stage       the same for a person's eyes
    play        puts these together, and clears up
"""
