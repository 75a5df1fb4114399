"""Who descends from whom: rules 4, 5, 7 and 8 of docs/rules.md as a short story, then what holds of every story."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd import records
from syncd.lineage import Account, Event, Happening, Lineage, Member, fresher, later
from syncd.model import (
    NOBODY,
    Displaced,
    Fact,
    FactBody,
    Fenced,
    Holds,
    Identity,
    Refused,
    Rotated,
    Seen,
    Slot,
    Token,
    Unknown,
    Vacant,
    Wrote,
)

PROVIDER = "openai-codex"
US, THEM = Identity("acct-us", "user-us", "us@example.invalid"), Identity("acct-them", "user-them")
A, B, C = Slot("codex", "main"), Slot("claw", "main"), Slot("claw", "too")


def token(
    name: str,
    iat: float | None = 1.0,
    *,
    who: Identity = US,
    session: str | None = None,
    access: str | None = None,
    exp: float | None = None,
) -> Token:
    """The credential whose refresh token has the fingerprint `name`."""
    return Token(PROVIDER, name, access or f"access of {name}", who, iat, exp, session)


def access_only(of: Token) -> Token:
    return replace(of, fingerprint=None)


@dataclass
class Story:
    """Facts, ten minutes apart, each folded in when it happens; every method tells what it meant."""

    lineage: Lineage = field(default_factory=Lineage)
    facts: list[Fact] = field(default_factory=list)
    pause: float = 600.0

    def seen(self, slot: Slot, held: Token | Fenced | None) -> list[Event]:
        content: Holds | Fenced | Vacant
        if held is None:
            content = Vacant()
        elif isinstance(held, Token):
            content = Holds(held, digests_of(held, slot))
        else:
            content = held
        return self.fact(Seen(slot, content, f"etag {len(self.facts)}"))

    def wrote(self, slot: Slot, put: Token) -> list[Event]:
        return self.fact(Wrote(slot, Holds(put, digests_of(put, slot)), f"etag {len(self.facts)}"))

    def fact(self, body: FactBody) -> list[Event]:
        self.facts.append(Fact(len(self.facts) + 1, self.pause * len(self.facts), body))
        return self.lineage.apply(self.facts[-1])

    def member(self, name: str) -> Member:
        return self.lineage.graph.members[name]

    def account(self, name: str) -> Account:
        return self.lineage.graph.account_of(self.member(name))

    def family(self, name: str) -> str:
        return self.member(name).family

    def separate(self, one: str, other: str) -> bool:
        graph = self.lineage.graph
        return graph.separate(graph.family_of(self.member(one)), graph.family_of(self.member(other)))


def digest(name: str, slot: Slot) -> str:
    return f"digest of {name} in {slot}"


def digests_of(one: Token, slot: Slot) -> tuple[str, str] | None:
    return (digest(one.fingerprint, slot), digest(one.access, slot)) if one.fingerprint else None


def fence(name: str, slot: Slot = A, *, failed: bool = False) -> Fenced:
    return Fenced(failed, digest(name, slot), PROVIDER, US)


@pytest.fixture
def story() -> Story:
    """`X`, issued at 10, lies in both slots."""
    story = Story()
    story.seen(A, token("X", 10))
    story.seen(B, token("X", 10))
    return story


def happened(events: list[Event]) -> list[Happening]:
    return [one.happening for one in events]


class TestDescent:
    def test_a_later_never_seen_token_in_the_same_slot_is_the_successor(self, story: Story) -> None:
        assert happened(story.seen(A, token("Y", 11))) == [Happening.ROTATED]

        x, y = story.member("X"), story.member("Y")
        assert (y.parent, x.child, y.generation, y.proven) == ("X", "Y", 1, False)
        assert (x.spent, x.live, y.spent, y.live) == (True, False, False, True)
        assert story.lineage.graph.newer(y, x) is True

    def test_a_copy_of_the_successor_follows(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        assert happened(story.seen(B, token("Y", 11))) == [Happening.FOLLOWED]

    @pytest.mark.parametrize("iat", [9, 10, None])
    def test_a_token_that_is_not_later_is_an_old_copy_and_no_successor(self, story: Story, iat: float | None) -> None:
        assert happened(story.seen(A, token("W", iat))) == [Happening.OLD_COPY]
        assert (story.member("W").parent, story.member("X").live) == (None, True)

    def test_where_the_old_token_has_no_issue_time_nothing_is_inferred(self) -> None:
        story = Story()
        story.seen(A, token("X", None))
        assert happened(story.seen(A, token("Y", 11))) == [Happening.OLD_COPY]
        assert story.member("X").live

    def test_a_token_that_was_seen_before_is_rolled_back(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        assert happened(story.seen(A, token("X", 10))) == [Happening.ROLLED_BACK]
        assert (story.member("X").child, story.member("Y").live) == ("Y", True)

    def test_a_second_candidate_is_another_sign_in_and_both_stay_apart(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        assert happened(story.seen(B, token("Z", 12))) == [Happening.FORKED]

        assert (story.member("X").child, story.member("Z").parent) == ("Y", None)
        assert story.separate("Y", "Z")

    def test_our_own_answer_is_proven_and_needs_no_issue_time(self, story: Story) -> None:
        assert happened(story.fact(Rotated("X", token("Y", None)))) == [Happening.ROTATED]
        assert (story.member("Y").parent, story.member("Y").proven) == ("X", True)
        assert happened(story.seen(A, token("Y", None))) == [Happening.FOLLOWED]

    def test_our_own_answer_disproves_what_was_inferred(self, story: Story) -> None:
        """Somebody signed in, in a slot that held the token which syncd was spending just then."""
        story.seen(A, token("S", 11))
        story.seen(A, token("T", 12))
        assert story.member("T").generation == 2
        story.fact(Rotated("X", token("Y", 10)))

        assert (story.member("X").child, story.member("Y").generation) == ("Y", 1)
        assert (story.member("S").parent, story.member("T").generation) == (None, 1)
        assert story.family("S") == story.family("T") != story.family("Y") == story.family("X")
        assert story.separate("Y", "T")

    def test_our_own_answer_confirms_what_was_inferred(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        story.fact(Rotated("X", token("Y", 11)))
        assert story.member("Y").proven

    def test_of_two_proven_answers_the_first_one_stays(self, story: Story) -> None:
        story.fact(Rotated("X", token("Y", 11)))
        story.fact(Rotated("X", token("Z", 12)))
        assert (story.member("X").child, story.member("Z").parent) == ("Y", None)

    def test_an_answer_to_an_unknown_token_teaches_nothing(self, story: Story) -> None:
        assert story.fact(Rotated("?", token("Y", 11))) == []
        assert "Y" not in story.lineage.graph.members

    def test_descent_is_a_walk_of_any_length_and_never_its_own_ancestor(self, story: Story) -> None:
        for number in range(20):
            story.seen(A, token(f"Y{number}", 11 + number))
        graph, x, last = story.lineage.graph, story.member("X"), story.member("Y19")
        assert (last.generation, last.family) == (20, x.family)
        assert graph.descends(last, x)
        assert not graph.descends(x, last)
        assert not graph.descends(x, x)

    def test_what_syncd_wrote_teaches_nothing(self, story: Story) -> None:
        """Else its own mirroring would look like a rotation from every older token to the newest one."""
        story.seen(A, token("Y", 11))
        assert happened(story.wrote(B, token("Y", 11))) == [Happening.MIRRORED]
        assert happened(story.seen(B, token("Z", 12))) == [Happening.ROTATED]
        assert story.member("Z").parent == "Y"

    def test_what_a_write_displaced_descends_from_what_was_there_before(self) -> None:
        story = Story()
        story.seen(A, token("X", 10))
        story.seen(B, token("S", 20))
        story.wrote(A, token("S", 20))
        assert happened(story.fact(Displaced(A, Holds(token("Y", 11)), "X"))) == [Happening.ROTATED]
        assert story.member("Y").parent == "X"
        place = story.lineage.places[A]
        assert (place.fingerprint, place.displaced) == ("S", "Y")

    def test_what_a_write_displaced_is_forgotten_when_the_slot_changes(self, story: Story) -> None:
        story.wrote(A, token("X", 10))
        story.fact(Displaced(A, Holds(token("Y", 11)), "X"))
        story.wrote(A, token("Y", 11))
        assert story.lineage.places[A].displaced == "Y"
        story.seen(A, token("Z", 12))
        assert story.lineage.places[A].displaced is None


class TestFences:
    def test_a_fence_names_the_token_that_stood_there(self, story: Story) -> None:
        (event,) = story.seen(A, fence("X"))
        assert (event.happening, event.fingerprint) == (Happening.FENCED, "X")
        (event,) = story.seen(A, fence("X", failed=True))
        assert (event.happening, event.fingerprint) == (Happening.FENCE_FAILED, "X")
        assert story.member("X").live

    def test_a_fence_of_a_token_that_syncd_wrote_is_known_too(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        story.wrote(B, token("Y", 11))
        (event,) = story.seen(B, fence("Y", B))
        assert event.fingerprint == "Y"

    def test_a_fence_of_an_unknown_token_keeps_the_account(self, story: Story) -> None:
        (event,) = story.seen(A, fence("?"))
        assert event.fingerprint is None
        assert story.lineage.account_at(story.lineage.places[A]) is story.account("X")

    @pytest.mark.parametrize("iat", [10, 11, None])
    def test_what_a_pending_fence_settled_to_is_proven(self, story: Story, iat: float | None) -> None:
        """Two answers within one second have one issue time: the fence tells what the clock cannot."""
        story.seen(A, fence("X"))
        assert happened(story.seen(A, token("Y", iat))) == [Happening.ROTATED]
        assert (story.member("Y").parent, story.member("Y").proven) == ("X", True)

    def test_an_old_copy_over_a_pending_fence_is_no_answer(self, story: Story) -> None:
        story.seen(A, fence("X"))
        assert happened(story.seen(A, token("W", 9))) == [Happening.OLD_COPY]
        assert story.member("X").live

    def test_a_sign_in_over_a_pending_fence_is_no_answer(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, session="one"))
        story.seen(A, fence("X"))
        assert happened(story.seen(A, token("S", 20, session="two"))) == [Happening.SIGNED_IN]
        assert story.member("X").live

    def test_after_a_failed_fence_nothing_is_proven(self, story: Story) -> None:
        story.seen(A, fence("X", failed=True))
        assert happened(story.seen(A, token("Y", 10))) == [Happening.OLD_COPY]
        assert story.member("Y").parent is None


class TestSessions:
    def test_two_sessions_are_two_sign_ins(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, session="one"))
        assert happened(story.seen(A, token("S", 20, session="two"))) == [Happening.SIGNED_IN]
        assert (story.member("X").live, story.member("S").live) == (True, True)
        assert not story.separate("X", "S")  # the slot changed from one to the other: the user replaced it

    def test_two_sessions_that_never_met_live_apart(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, session="one"))
        story.seen(B, token("S", 20, session="two"))
        assert story.separate("X", "S")

    def test_one_session_is_one_family_wherever_it_turns_up(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, session="one"))
        story.seen(B, token("Z", 30, session="one"))
        story.seen(C, token("Y", 20, session="one"))
        assert story.family("X") == story.family("Y") == story.family("Z")
        head = story.lineage.graph.head_of(story.lineage.graph.families[story.family("X")])
        assert head is story.member("Z")

    @pytest.mark.parametrize("session", [None, "one"])
    def test_a_missing_session_says_nothing(self, session: str | None) -> None:
        story = Story()
        story.seen(A, token("X", 10, session=session))
        story.seen(A, token("Y", 11, session=None if session else "one"))
        assert story.member("Y").parent == "X"

    def test_tokens_that_never_met_and_tell_no_session_are_not_proven_separate(self) -> None:
        story = Story()
        story.seen(A, token("X", 10))
        story.seen(B, token("Y", 20))
        assert story.family("X") != story.family("Y")
        assert not story.separate("X", "Y")

    def test_a_family_seen_rotating_beside_a_later_one_is_apart_from_it(self) -> None:
        """X was alive just now, so what was issued after it elsewhere is not its successor."""
        story = Story()
        story.seen(A, token("X", 10))
        story.seen(B, token("S", 20))
        story.seen(A, token("Y", 30))
        assert story.separate("Y", "S")


class TestAbsence:
    def test_a_deletion_makes_the_account_suspect(self, story: Story) -> None:
        assert happened(story.seen(A, None)) == [Happening.LOGGED_OUT]
        assert story.account("X").suspect == 1_200
        assert story.member("X").live

    def test_the_deletion_of_a_spent_copy_does_not(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        assert happened(story.seen(B, None)) == [Happening.LOGGED_OUT]
        assert story.account("X").suspect is None

    def test_an_empty_slot_that_was_never_full_is_nothing(self, story: Story) -> None:
        assert story.seen(C, None) == []
        assert story.seen(C, None) == []

    @pytest.mark.parametrize("order", ["the new slot first", "the old slot first"])
    def test_a_move_is_not_a_logout(self, order: str) -> None:
        """A migration, in one turn or two: the token is in another slot within a minute."""
        story = Story(pause=30.0)
        x = token("X", 10)
        story.seen(A, x)
        moves: Sequence[tuple[Slot, Token | None]] = [(B, x), (A, None)]
        for slot, held in moves if order == "the new slot first" else reversed(moves):
            story.seen(slot, held)
        assert story.account("X").suspect is None

    def test_a_copy_that_was_elsewhere_all_along_does_not_excuse_a_deletion(self, story: Story) -> None:
        story.seen(A, None)
        assert story.account("X").suspect is not None

    @pytest.mark.parametrize(
        "alive",
        [
            Seen(B, Holds(token("Y", 11)), "rotated by a client"),
            Seen(B, Holds(token("X", 12, access="renewed")), "renewed by a client"),
            Seen(A, Holds(token("X", 10)), "back where it was"),
            Seen(A, Holds(token("S", 20)), "signed in again"),
            Rotated("X", token("Y", 11)),
        ],
        ids=lambda body: type(body).__name__,
    )
    def test_it_is_suspect_until_something_shows_it_alive(self, story: Story, alive: FactBody) -> None:
        story.seen(A, None)
        story.fact(alive)
        assert story.account("X").suspect is None

    def test_an_old_copy_that_is_rolled_back_shows_nothing_alive(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        story.wrote(B, token("Y", 11))
        story.seen(A, None)
        story.seen(B, token("X", 10))
        assert story.account("Y").suspect is not None


class TestAccessTokens:
    def test_a_newer_access_token_renews_its_member(self, story: Story) -> None:
        assert happened(story.seen(B, token("X", 12, access="renewed"))) == [Happening.RENEWED]
        assert story.member("X").token.access == "renewed"
        assert story.seen(B, token("X", 10)) == []
        assert story.member("X").token.access == "renewed"

    def test_a_known_access_token_alone_is_its_member(self, story: Story) -> None:
        assert story.seen(A, access_only(token("X", 10))) == []
        assert story.lineage.member_in(story.lineage.places[A]) is story.member("X")

    def test_an_unknown_access_token_alone_has_an_account_and_no_descent(self, story: Story) -> None:
        story.seen(A, access_only(token("?", 12)))
        place = story.lineage.places[A]
        assert (place.fingerprint, story.lineage.account_at(place)) == (None, story.account("X"))
        assert list(story.lineage.graph.members) == ["X"]

    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [((2, 5), (1, 9), True), ((1, 9), (2, 5), False), ((1, 9), (1, 5), True), ((1, 5), (1, 5), False)],
    )
    def test_the_version_of_an_access_token_is_its_issue_time_then_its_expiry(
        self, one: tuple[float, float], other: tuple[float, float], expected: bool
    ) -> None:
        assert fresher(token("X", one[0], exp=one[1]), token("X", other[0], exp=other[1])) is expected


class TestOrder:
    @pytest.mark.parametrize(
        ("one", "other", "expected"), [(2, 1, True), (1, 2, False), (1, 1, False), (None, 1, False), (1, None, False)]
    )
    def test_later_is_strict_and_knows_no_missing_time(
        self, one: float | None, other: float | None, expected: bool
    ) -> None:
        assert later(token("a", one), token("b", other)) is expected

    @pytest.mark.parametrize("iat", [10, None])
    def test_equal_or_missing_issue_times_with_no_edge_are_in_no_order(self, iat: float | None) -> None:
        story = Story()
        story.seen(A, token("X", 10))
        story.seen(B, token("Y", iat))
        graph, x, y = story.lineage.graph, story.member("X"), story.member("Y")
        assert (graph.newer(x, y), graph.newer(y, x), graph.newest([x, y])) == (None, None, None)

    def test_descent_beats_clocks(self, story: Story) -> None:
        """A server whose clock was set back."""
        story.fact(Rotated("X", token("Y", 5)))
        assert story.lineage.graph.newer(story.member("Y"), story.member("X")) is True

    def test_a_refused_token_is_not_live_and_a_reused_one_is_spent(self, story: Story) -> None:
        story.fact(Refused("X", "refresh_token_reused"))
        assert (story.member("X").live, story.member("X").spent) == (False, True)
        assert happened(story.fact(Refused("?", "expired"))) == [Happening.REFUSED]

    def test_a_tool_that_undoes_a_write_is_noted_at_most_ten_times(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        for _ in range(12):
            story.wrote(B, token("Y", 11))
            story.seen(B, token("X", 10))
        assert len(story.lineage.places[B].undone) == 10

    def test_a_user_who_signs_in_undoes_nothing(self, story: Story) -> None:
        story.seen(A, token("Y", 11))
        story.wrote(B, token("Y", 11))
        story.seen(B, token("S", 20))
        assert story.lineage.places[B].undone == []


class TestAccounts:
    def test_two_accounts_live_side_by_side(self, story: Story) -> None:
        assert happened(story.seen(A, token("T", 20, who=THEM))) == [Happening.SIGNED_IN]
        assert story.account("X") is not story.account("T")
        assert (story.member("X").live, story.member("T").parent) == (True, None)

    def test_one_workspace_two_users_are_two_accounts(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, who=Identity("acct", "one")))
        story.seen(B, token("Y", 20, who=Identity("acct", "two")))
        assert story.account("X") is not story.account("Y")

    def test_two_providers_are_two_accounts(self, story: Story) -> None:
        story.seen(C, replace(token("T", 20), provider="another"))
        assert story.account("X") is not story.account("T")

    def test_without_any_identity_each_token_is_an_account_of_its_own(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, who=NOBODY))
        story.seen(B, token("Y", 20, who=NOBODY))
        assert story.account("X") is not story.account("Y")

    def test_a_slot_that_rotates_without_any_identity_stays_one_family(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, who=NOBODY))
        story.seen(A, token("Y", 20, who=NOBODY))
        assert story.member("Y").parent == "X"

    def test_what_tells_both_brings_two_accounts_together(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, who=Identity("acct")))
        story.seen(B, token("Y", 20, who=Identity(email="e@example.invalid")))
        assert story.account("X") is not story.account("Y")

        story.seen(C, token("Z", 30, who=Identity("acct", None, "e@example.invalid")))

        assert story.account("X") is story.account("Y") is story.account("Z")
        assert len(story.lineage.graph.accounts) == 1

    def test_what_matches_two_that_contradict_each_other_is_disputed_and_joins_neither(self) -> None:
        story = Story()
        story.seen(A, token("X", 10, who=Identity("acct", "one")))
        story.seen(B, token("Y", 20, who=Identity("acct", "two")))
        story.seen(C, token("Z", 30, who=Identity("acct")))
        assert story.account("Z").disputed
        assert not story.account("X").disputed
        assert len({story.account(name).id for name in "XYZ"}) == 3


class TestRecords:
    def test_a_kind_of_a_newer_version_is_kept_and_not_understood(self, story: Story) -> None:
        before = list(story.lineage.graph.members)
        assert records.load("invented", 1, "{}") == Unknown("invented")
        known = records.dump(Refused("X", "expired"))
        assert records.load("refused", records.VERSION, known) == Refused("X", "expired")
        assert records.load("refused", records.VERSION + 1, known) == Unknown("refused")
        assert story.fact(Unknown("invented")) == []
        assert list(story.lineage.graph.members) == before

    @pytest.mark.parametrize("kind", ["sighting", "deleted", "written", "displaced", "rotated", "refused"])
    @pytest.mark.parametrize("body", ["", "{", "[]", "7", "null", "{}", '{"slot": 7}', '{"slot": ["a", "b"]}'])
    def test_a_body_that_cannot_be_read_is_kept_and_not_understood(self, kind: str, body: str) -> None:
        assert records.load(kind, 1, body) == Unknown(kind)


# -- Every story ------------------------------------------------------------------------------------------------------

# A machine that is busy with something else is not a failure: no deadline.
EVERY = settings(max_examples=200, deadline=None)

names = st.sampled_from("PQRSTUVW")
identities = st.sampled_from([US, THEM, Identity("acct-us"), Identity(email="us@example.invalid"), NOBODY])
slots = st.sampled_from([A, B, C])


@st.composite
def tokens(draw: st.DrawFn) -> Token:
    """Few names, few times, few sessions: so that they meet often, and contradict each other."""
    return token(
        draw(names),
        draw(st.none() | st.integers(1, 6).map(float)),
        who=draw(identities),
        session=draw(st.sampled_from([None, None, "one", "two"])),
        access=draw(st.sampled_from([None, "another", "a third"])),
        exp=draw(st.none() | st.integers(1, 3).map(float)),
    )


@st.composite
def fences(draw: st.DrawFn) -> Fenced:
    return fence(draw(names), draw(slots), failed=draw(st.booleans()))


@st.composite
def holdings(draw: st.DrawFn) -> tuple[Slot, Holds]:
    slot, one = draw(slots), draw(tokens() | tokens().map(access_only))
    return slot, Holds(one, digests_of(one, slot))


bodies = (
    st.tuples(slots, fences() | st.just(Vacant("gone"))).map(lambda pair: Seen(*pair, etag="etag"))
    | holdings().map(lambda pair: Seen(*pair, etag="etag"))
    | holdings().map(lambda pair: Wrote(*pair, etag="etag"))
    | st.tuples(holdings(), st.none() | names).map(lambda two: Displaced(*two[0], previous=two[1]))
    | st.tuples(names, tokens()).map(lambda two: Rotated(*two))
    | st.tuples(names, st.sampled_from(["refresh_token_reused", "expired"])).map(lambda two: Refused(*two))
    | st.just(Unknown("invented"))
)
histories = st.lists(bodies, max_size=25).map(
    lambda these: [Fact(seq, 20.0 * seq, body) for seq, body in enumerate(these, start=1)]
)


def same(one: Lineage, other: Lineage) -> bool:
    return one.places == other.places and all(
        getattr(one.graph, each) == getattr(other.graph, each) for each in ("members", "families", "accounts")
    )


class TestEveryHistory:
    @EVERY
    @given(histories)
    def test_the_fold_is_deterministic_and_incremental(self, facts: list[Fact]) -> None:
        step_by_step = Lineage()
        for number, fact in enumerate(facts, start=1):
            step_by_step.apply(fact)
            if number == len(facts) // 2:
                assert same(step_by_step, Lineage(facts[:number]))
        assert same(step_by_step, Lineage(facts))
        assert same(Lineage(facts), Lineage(facts))

    @EVERY
    @given(histories)
    def test_the_record_gives_back_the_same_facts(self, facts: list[Fact]) -> None:
        for fact in facts:
            text = records.dump(fact.body)
            assert records.load(records.kind_of(fact.body), records.VERSION, text) == fact.body
            assert isinstance(json.loads(text), dict)

    @EVERY
    @given(histories)
    def test_parents_and_children_are_of_one_mind(self, facts: list[Fact]) -> None:
        """One parent, one child, one family, a generation each: so there is no cycle."""
        graph = Lineage(facts).graph
        for member in graph.members.values():
            family = graph.family_of(member)
            assert (member.fingerprint in family.tips) is (member.child is None)
            if member.child is not None:
                child = graph.members[member.child]
                assert (child.parent, child.family) == (member.fingerprint, member.family)
                assert child.generation == member.generation + 1
            if member.parent is not None:
                assert graph.members[member.parent].child == member.fingerprint
            else:
                assert member.generation == 0
        for family in graph.families.values():
            assert family.id in graph.accounts[family.account].families
            assert family.tips <= {one.fingerprint for one in graph.members.values() if one.family == family.id}

    @EVERY
    @given(histories)
    def test_newer_contradicts_itself_nowhere(self, facts: list[Fact]) -> None:
        graph = Lineage(facts).graph
        for one in graph.members.values():
            assert graph.newer(one, one) is None
            for other in graph.members.values():
                if one is other:
                    continue
                forth, back = graph.newer(one, other), graph.newer(other, one)
                assert (forth is None and back is None) or forth is not back
                if graph.descends(one, other):
                    assert forth is True
                assert not (graph.descends(one, other) and graph.descends(other, one))

    @EVERY
    @given(histories)
    def test_apart_and_related_are_mutual(self, facts: list[Fact]) -> None:
        families = Lineage(facts).graph.families
        for family in families.values():
            assert family.id not in family.apart
            assert family.id not in family.related
            assert all(family.id in families[other].apart for other in family.apart)
            assert all(family.id in families[other].related for other in family.related)

    @EVERY
    @given(histories)
    def test_no_account_holds_two_identities_that_contradict_each_other(self, facts: list[Fact]) -> None:
        for account in Lineage(facts).graph.accounts.values():
            for one in account.identities:
                for other in account.identities:
                    assert one.compare(other).value != "different", account
