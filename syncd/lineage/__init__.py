"""Pure: facts folded into the graph of refresh tokens; who descends from whom, and which is the newest.

The hard problem: nobody tells syncd what a client did. It sees that a slot held X and now holds Y, and must decide
whether Y is X's successor, another sign-in, or an old copy that a backup put back. A wrong "successor" overwrites the
only live token. So an edge needs evidence (docs/rules.md, 5):

- *proven*: an answer of syncd's own, or an OpenClaw fence of X that settled to Y in that slot;
- *inferred*: a slot held X and now holds a never-seen Y whose access token was issued strictly later.

A token has one child. Whatever else appears starts a family of its own: a sign-in, or an old copy. Families of one
account are ordered by the issue time of their heads, and by nothing else: never by a file's time.

    graph   tokens, families, accounts, and the questions about them
    fold    facts in, the graph and what happened out
"""

from syncd.lineage.fold import Event, Happening, Lineage, Place
from syncd.lineage.graph import Account, Family, Graph, Member, fresher, later

__all__ = ["Account", "Event", "Family", "Graph", "Happening", "Lineage", "Member", "Place", "fresher", "later"]
