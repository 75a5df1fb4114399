"""How each slot stands, what is written, every reason to leave a slot alone, and what no write ever does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.identity import gate
from syncd.lineage import Lineage
from syncd.model import (
    Alien,
    Content,
    Displaced,
    Fact,
    Fenced,
    Holds,
    Identity,
    Ignored,
    ReadOnly,
    Refused,
    Role,
    Sighting,
    Slot,
    SlotState,
    Token,
    Unify,
    Unreadable,
    Usage,
    Used,
    Vacant,
    Wrote,
)
from syncd.plan import CLIENT_MARGIN, Finding, Policy, survey
from tests.test_lineage import THEM, A, B, C, Story, access_only, digests_of, fence, histories, same, token

# Far from every expiry that is not set on purpose, seconds.
NOW, TOMORROW = 1_000_000.0, 1_086_400.0


@dataclass
class Board(Story):
    """A story, and what each slot shows at its end."""

    roles: dict[str, Role] = field(default_factory=dict)
    usages: dict[str, Usage] = field(default_factory=dict)
    unify: Unify = Unify.AUTO
    now: float = NOW
    shown: dict[Slot, Content] = field(default_factory=dict)

    def shows(self, slot: Slot, held: Token | Fenced | None) -> None:
        self.seen(slot, held)
        self.shown[slot] = self.lineage.places[slot].content

    def gets(self, slot: Slot, put: Token) -> None:
        """syncd writes it there."""
        self.wrote(slot, put)
        self.shown[slot] = self.lineage.places[slot].content

    def survey(self) -> Mapping[Slot, Finding]:
        policy = Policy(self.unify, lambda store: self.roles.get(store, Role.PEER))
        sightings = [Sighting(slot, content, f"now in {slot}") for slot, content in self.shown.items()]
        return {one.slot: one for one in survey(self.lineage, sightings, self.usages, policy, self.now)}

    def finding(self, slot: Slot) -> Finding:
        return self.survey()[slot]


@pytest.fixture
def board() -> Board:
    """`X` in A and B; then A rotated to `Y`."""
    board = Board()
    for slot in (A, B):
        board.shows(slot, token("X", 10, exp=TOMORROW))
    board.shows(A, token("Y", 11, exp=TOMORROW))
    return board


def writes(finding: Finding) -> str | None:
    """The fingerprint that a finding's write would put there."""
    return finding.write.token.fingerprint if finding.write else None


def stands(finding: Finding) -> tuple[SlotState, str | None]:
    """Its state, and the token that it would get."""
    return finding.state, writes(finding)


class TestStates:
    def test_current(self, board: Board) -> None:
        found = board.finding(A)
        assert (found.state, found.fingerprint, found.generation, found.reason) == (SlotState.CURRENT, "Y", 1, None)

    def test_behind_and_the_write_that_mends_it(self, board: Board) -> None:
        found = board.finding(B)
        assert (found.state, found.fingerprint, found.generation) == (SlotState.BEHIND, "X", 0)
        assert found.write is not None
        assert (found.write.slot, found.write.expected, found.write.access_only) == (B, f"now in {B}", False)
        assert found.write.token == board.member("Y").token

    def test_ahead(self, board: Board) -> None:
        board.shows(C, access_only(token("?", 12)))
        assert stands(board.finding(C)) == (SlotState.AHEAD, None)

    def test_foreign(self, board: Board) -> None:
        board.shown[C] = Alien("an API key")
        assert stands(board.finding(C)) == (SlotState.FOREIGN, None)
        board.shows(C, access_only(token("?", 12, who=THEM)))
        assert stands(board.finding(C)) == (SlotState.FOREIGN, None)

    def test_empty(self, board: Board) -> None:
        """A deletion is never healed by restoring."""
        board.shows(B, None)
        assert stands(board.finding(B)) == (SlotState.EMPTY, None)

    def test_unreadable(self, board: Board) -> None:
        board.shown[B] = Unreadable("half of a file", "look at it")
        found = board.finding(B)
        assert (stands(found), found.hint) == ((SlotState.UNREADABLE, None), "look at it")

    def test_ignored(self, board: Board) -> None:
        board.usages[B.store] = Ignored("OpenClaw reads another file")
        found = board.finding(B)
        assert (stands(found), found.reason) == ((SlotState.IGNORED, None), "OpenClaw reads another file")

    def test_refused(self, board: Board) -> None:
        board.fact(Refused("Y", "refresh_token_expired"))
        found = board.finding(A)
        assert (stands(found), found.hint) == ((SlotState.REFUSED, None), "codex login")
        assert found.reason == "refused by the provider: refresh_token_expired"

    def test_contested(self) -> None:
        board = Board()
        board.shows(A, token("X", 10))
        board.shows(B, token("Y", 10))
        assert {stands(one) for one in board.survey().values()} == {(SlotState.CONTESTED, None)}

    def test_separate(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("Y", 20, session="two"))
        assert stands(board.finding(A)) == (SlotState.SEPARATE, None)
        assert stands(board.finding(B)) == (SlotState.CURRENT, None)

    def test_busy(self, board: Board) -> None:
        board.shows(A, fence("Y"))
        assert stands(board.finding(A)) == (SlotState.BUSY, None)

    def test_every_word_of_status_is_tested_here(self) -> None:
        tested = {name.removeprefix("test_").split("_and_")[0] for name in dir(TestStates)}
        assert {state.value for state in SlotState} <= tested


class TestWithheld:
    @pytest.mark.parametrize("role", [Role.OBSERVER, Role.OFF])
    def test_an_observer_is_never_written(self, board: Board, role: Role) -> None:
        board.roles[B.store] = role
        assert stands(board.finding(B)) == (SlotState.BEHIND, None)

    @pytest.mark.parametrize("content", ["a credential", "a fence"])
    def test_what_cannot_be_written_safely(self, board: Board, content: str) -> None:
        if content == "a fence":
            board.shows(B, fence("X", B))
        board.usages[B.store] = ReadOnly("its tokens are encrypted")
        found = board.finding(B)
        assert (stands(found), found.reason) == ((SlotState.BEHIND, None), "its tokens are encrypted")

    def test_an_ignored_store_is_evidence_all_the_same(self, board: Board) -> None:
        """A stray JSON file can hold the newest token."""
        board.usages[A.store] = Ignored("OpenClaw reads another file")
        assert writes(board.finding(B)) == "Y"

    def test_the_gate(self) -> None:
        """The account is known from one slot, where less is known of it in another."""
        board = Board()
        board.shows(A, token("X", 10, who=Identity("acct", None, "e@example.invalid")))
        board.shows(B, token("Z", 9, who=Identity(email="e@example.invalid")))
        board.shows(A, token("Y", 11, who=Identity("acct")))
        found = board.finding(B)
        assert (stands(found), found.reason) == (
            (SlotState.REFUSED, None),
            "nothing shows that both are the same account",
        )

    def test_another_account_is_left_alone(self, board: Board) -> None:
        board.shows(C, token("T", 1, who=THEM))
        assert stands(board.finding(C)) == (SlotState.CURRENT, None)

    def test_contested_because_it_matches_accounts_that_contradict_each_other(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, who=Identity("acct", "one")))
        board.shows(B, token("Y", 20, who=Identity("acct", "two")))
        board.shows(C, token("Z", 5, who=Identity("acct")))
        found = board.finding(C)
        assert (stands(found), found.reason) == (
            (SlotState.CONTESTED, None),
            "it matches accounts that contradict each other",
        )

    @pytest.mark.parametrize("iat", [10, None])
    def test_contested_because_their_order_is_not_known(self, iat: float | None) -> None:
        board = Board()
        board.shows(A, token("X", 10))
        board.shows(B, token("Y", iat))
        found = board.finding(B)
        assert found.reason == ("two credentials cannot be put in order: their issue times are equal or missing")

    def test_contested_within_one_sign_in(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("Y", 10, session="one"))
        board.shows(C, token("S", 20, session="two"))
        assert stands(board.finding(A)) == (SlotState.CONTESTED, None)
        assert stands(board.finding(C)) == (SlotState.CURRENT, None)

    def test_contested_because_another_program_keeps_writing_an_older_login_back(self, board: Board) -> None:
        board.pause = 100.0
        for undone in range(1, 4):
            assert stands(board.finding(B)) == (SlotState.BEHIND, "Y")
            board.gets(B, token("Y", 11, exp=TOMORROW))
            board.shows(B, token("X", 10, exp=TOMORROW))
            board.now = board.facts[-1].at
            assert len(board.lineage.places[B].undone) == undone

        assert stands(board.finding(B)) == (SlotState.CONTESTED, None)
        board.now += 59
        assert stands(board.finding(B)) == (SlotState.CONTESTED, None)
        board.now += 1
        assert stands(board.finding(B)) == (SlotState.BEHIND, "Y")

    def test_each_further_time_it_is_left_alone_for_twice_as_long_and_at_most_an_hour(self, board: Board) -> None:
        board.pause = 1.0
        pauses = []
        for _ in range(12):
            board.gets(B, token("Y", 11, exp=TOMORROW))
            board.shows(B, token("X", 10, exp=TOMORROW))
            board.now = board.facts[-1].at
            pause = 0
            while writes(board.finding(B)) is None:
                board.now, pause = board.now + 60, pause + 60
            pauses.append(pause)
        assert pauses == [0, 0, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600]

    def test_three_accidents_in_a_day_are_no_habit(self, board: Board) -> None:
        board.pause = 3_600.0
        for _ in range(5):
            board.gets(B, token("Y", 11, exp=TOMORROW))
            board.shows(B, token("X", 10, exp=TOMORROW))
        board.now = board.facts[-1].at
        assert writes(board.finding(B)) == "Y"


class TestFences:
    def test_over_a_pending_fence_of_an_older_token_at_once(self, board: Board) -> None:
        board.shows(B, fence("X", B))
        assert stands(board.finding(B)) == (SlotState.BEHIND, "Y")

    def test_never_over_a_pending_fence_of_the_newest(self, board: Board) -> None:
        board.gets(B, token("Y", 11, exp=TOMORROW))
        board.shows(B, fence("Y", B))
        assert board.finding(B).reason == "pending refresh fence: the newest login is being refreshed"
        assert writes(board.finding(B)) is None

    @pytest.mark.parametrize("failed", [False, True])
    def test_never_over_a_fence_of_an_unknown_token(self, board: Board, failed: bool) -> None:
        board.shows(B, fence("?", B, failed=failed))
        assert stands(board.finding(B)) == (SlotState.BUSY, None)
        board.shows(C, fence("?", C, failed=failed))
        assert stands(board.finding(C)) == (SlotState.BUSY, None)

    def test_a_failed_fence_of_the_newest_gets_it_back(self, board: Board) -> None:
        board.shows(A, fence("Y", failed=True))
        assert stands(board.finding(A)) == (SlotState.BEHIND, "Y")

    @pytest.mark.parametrize("left", [CLIENT_MARGIN, 0.0, -1.0])
    def test_but_not_inside_the_clients_margin(self, board: Board, left: float) -> None:
        """Another client may have its successor in flight."""
        board.shows(A, fence("Y", failed=True))
        board.now = TOMORROW - left
        assert stands(board.finding(A)) == (SlotState.BUSY, None)

    def test_nor_where_its_expiry_is_not_known(self) -> None:
        board = Board()
        board.shows(A, token("X", 10))
        board.shows(A, fence("X", failed=True))
        assert stands(board.finding(A)) == (SlotState.BUSY, None)

    @pytest.mark.parametrize(("failed", "expected"), [(False, (SlotState.BUSY, None)), (True, (SlotState.BEHIND, "X"))])
    def test_the_fence_of_a_sign_in_that_lives_apart_is_its_own(
        self, failed: bool, expected: tuple[SlotState, str | None]
    ) -> None:
        """A later sign-in beside it is no reason to lose what its tool is just being answered."""
        board = Board()
        board.shows(A, token("X", 10, session="one", exp=TOMORROW))
        board.shows(B, token("S", 20, session="two", exp=TOMORROW))
        board.shows(A, fence("X", failed=failed))
        assert stands(board.finding(A)) == expected

    def test_a_later_sign_in_that_it_follows_goes_over_a_pending_fence(self) -> None:
        board = Board()
        board.shows(A, token("X", 10))
        board.shows(B, token("S", 20))
        board.shows(A, fence("X"))
        assert stands(board.finding(A)) == (SlotState.BEHIND, "S")

    def test_what_cannot_be_put_in_order_does_not(self) -> None:
        board = Board(unify=Unify.ACCOUNT)
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("S", 10, session="two"))
        board.shows(B, fence("S", B))
        assert stands(board.finding(B)) == (SlotState.BUSY, None)

    def test_a_failed_fence_of_an_older_token_gets_the_newest(self, board: Board) -> None:
        board.shows(B, fence("X", B, failed=True))
        board.now = TOMORROW
        assert stands(board.finding(B)) == (SlotState.BEHIND, "Y")


class TestForms:
    """The right refresh token is there: with which access token, and whole or not?"""

    def test_a_newer_access_token_goes_over_one_that_lasts(self, board: Board) -> None:
        board.gets(B, token("Y", 11, exp=TOMORROW))
        board.shows(A, token("Y", 12, access="renewed", exp=TOMORROW + 1))
        found = board.finding(B)
        assert found.write is not None
        assert found.write.token.access == "renewed"

    @pytest.mark.parametrize("exp", [NOW + CLIENT_MARGIN, NOW - 1, None])
    def test_but_not_over_one_that_its_own_tool_may_be_renewing(self, exp: float | None) -> None:
        board = Board()
        board.shows(B, token("X", 10, exp=exp))
        board.shows(A, token("X", 12, access="renewed", exp=TOMORROW))
        assert stands(board.finding(B)) == (SlotState.BEHIND, None)

    def test_a_follower_whose_access_token_ran_out_has_no_tool_that_renews_it(self) -> None:
        board = Board(roles={B.store: Role.FOLLOWER})
        board.shows(A, token("X", 10, exp=NOW - 1))
        board.gets(B, access_only(token("X", 10, exp=NOW - 1)))
        board.shows(A, token("X", 12, access="renewed", exp=TOMORROW))
        assert stands(board.finding(B)) == (SlotState.BEHIND, "X")

    def test_a_follower_gets_the_access_token_only(self, board: Board) -> None:
        board.roles[B.store] = Role.FOLLOWER
        found = board.finding(B)
        assert found.write is not None
        assert found.write.access_only
        board.gets(B, access_only(board.member("Y").token))
        assert stands(board.finding(B)) == (SlotState.CURRENT, None)

    def test_a_follower_that_holds_the_newest_login_whole_is_stripped(self, board: Board) -> None:
        board.roles[A.store] = Role.FOLLOWER
        found = board.finding(A)
        assert (stands(found), found.write is not None and found.write.access_only) == ((SlotState.BEHIND, "Y"), True)

    def test_a_follower_that_becomes_a_peer_is_made_whole_again(self, board: Board) -> None:
        board.gets(B, access_only(board.member("Y").token))
        found = board.finding(B)
        assert found.write is not None
        assert (stands(found), found.write.access_only) == ((SlotState.BEHIND, "Y"), False)

    def test_what_another_tool_made_access_only_stays_so(self, board: Board) -> None:
        board.shows(B, access_only(token("X", 10, exp=TOMORROW)))
        found = board.finding(B)
        assert found.write is not None
        assert (stands(found), found.write.access_only) == ((SlotState.BEHIND, "Y"), True)

        board.gets(B, access_only(board.member("Y").token))
        assert stands(board.finding(B)) == (SlotState.CURRENT, None)

    def test_what_another_tool_made_access_only_after_it_was_whole_again_stays_so(self, board: Board) -> None:
        board.gets(B, access_only(board.member("Y").token))
        board.shows(B, token("Y", 11, exp=TOMORROW))
        board.shows(B, access_only(token("Y", 11, exp=TOMORROW)))
        assert stands(board.finding(B)) == (SlotState.CURRENT, None)

    def test_a_stray_access_token_goes_from_a_follower_when_a_later_one_is_known(self, board: Board) -> None:
        board.shows(B, access_only(token("?", 9)))
        assert stands(board.finding(B)) == (SlotState.BEHIND, "Y")

    @pytest.mark.parametrize("iat", [11, 12, None])
    def test_a_stray_access_token_that_is_not_older_stays(self, board: Board, iat: float | None) -> None:
        board.roles[B.store] = Role.FOLLOWER
        board.shows(B, access_only(token("?", iat)))
        assert stands(board.finding(B)) == (SlotState.AHEAD, None)


class TestFamilies:
    """Two sign-ins of one account: X in A, and S, which is later, in B."""

    @pytest.mark.parametrize(
        ("unify", "session", "expected"),
        [
            (Unify.AUTO, False, (SlotState.BEHIND, "S")),
            (Unify.AUTO, True, (SlotState.SEPARATE, None)),
            (Unify.ACCOUNT, False, (SlotState.BEHIND, "S")),
            (Unify.ACCOUNT, True, (SlotState.BEHIND, "S")),
            (Unify.LINEAGE, False, (SlotState.SEPARATE, None)),
            (Unify.LINEAGE, True, (SlotState.SEPARATE, None)),
        ],
    )
    def test_which_family_a_slot_follows(
        self, unify: Unify, session: bool, expected: tuple[SlotState, str | None]
    ) -> None:
        board = Board(unify=unify)
        board.shows(A, token("X", 10, session="one" if session else None))
        board.shows(B, token("S", 20, session="two" if session else None))
        assert stands(board.finding(A)) == expected
        assert stands(board.finding(B)) == (SlotState.CURRENT, None)

    def test_a_spare_takes_the_place_of_a_family_that_was_refused(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("S", 20, session="two"))
        board.fact(Refused("S", "refresh_token_invalidated"))
        assert stands(board.finding(B)) == (SlotState.BEHIND, "X")

    def test_two_that_live_apart_need_no_order_among_them(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("S", 10, session="two"))
        assert stands(board.finding(A)) == (SlotState.CURRENT, None)
        assert stands(board.finding(B)) == (SlotState.SEPARATE, None)

    def test_to_bring_them_together_they_must_be_in_order(self) -> None:
        board = Board(unify=Unify.ACCOUNT)
        board.shows(A, token("X", 10, session="one"))
        board.shows(B, token("S", 10, session="two"))
        assert stands(board.finding(A)) == (SlotState.CURRENT, None)
        found = board.finding(B)
        assert (found.state, found.write) == (SlotState.CONTESTED, None)
        assert found.reason == (
            "it cannot be put in order with the newest login: their issue times are equal or missing"
        )

    def test_the_slots_of_a_separate_family_follow_its_own_head(self) -> None:
        board = Board()
        board.shows(A, token("X", 10, session="one"))
        board.shows(C, token("X", 10, session="one"))
        board.shows(B, token("S", 20, session="two"))
        board.shows(A, token("Y", 15, session="one"))
        assert stands(board.finding(C)) == (SlotState.BEHIND, "Y")

    def test_a_slot_gets_back_what_a_write_displaced(self) -> None:
        """Its user signed in, in the moment of the write: a sign-in of its own, which nobody else knows."""
        board = Board()
        board.shows(A, token("X", 10))
        board.shows(B, token("S", 20))
        board.gets(A, token("S", 20))
        board.fact(Displaced(A, Holds(token("T", 30, session="other")), "X"))
        board.fact(Displaced(A, Holds(token("W", 5)), "X"))
        assert stands(board.finding(A)) == (SlotState.BEHIND, "T")


# -- Every survey -----------------------------------------------------------------------------------------------------

roles = st.dictionaries(st.sampled_from([A.store, B.store]), st.sampled_from(Role))
kinds: list[Usage] = [Used(), Used(), Ignored("no"), ReadOnly("no")]
usages = st.dictionaries(st.sampled_from([A.store, B.store]), st.sampled_from(kinds))
oddities: list[Content] = [Alien("an API key"), Unreadable("torn"), Vacant()]


@dataclass
class Scene:
    """A history, and a survey of all that its slots hold at its end; some of them show something else by now."""

    lineage: Lineage
    facts: list[Fact]
    sightings: dict[Slot, Sighting]
    usages: dict[str, Usage]
    policy: Policy
    now: float

    def findings(self) -> tuple[Finding, ...]:
        return survey(self.lineage, self.sightings.values(), self.usages, self.policy, self.now)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    facts, role = draw(histories), draw(roles)
    lineage = Lineage(facts)
    sightings = {slot: Sighting(slot, place.content, f"now in {slot}") for slot, place in lineage.places.items()}
    for slot in draw(st.sets(st.sampled_from([A, B, C]))):
        sightings[slot] = Sighting(slot, draw(st.sampled_from(oddities)), f"now in {slot}")
    policy = Policy(draw(st.sampled_from(Unify)), lambda store: role.get(store, Role.PEER))
    return Scene(lineage, facts, sightings, draw(usages), policy, draw(st.floats(0, 2_000)))


EVERY = settings(max_examples=500, deadline=None)


class TestEverySurvey:
    @EVERY
    @given(scenes())
    def test_no_write_goes_where_none_may_go(self, scene: Scene) -> None:
        for found in scene.findings():
            if found.write is None:
                continue
            sighting = scene.sightings[found.slot]
            assert (found.write.slot, found.write.expected) == (found.slot, sighting.etag)
            assert isinstance(sighting.content, Holds | Fenced)
            assert isinstance(scene.usages.get(found.slot.store, Used()), Used)
            assert found.role in (Role.PEER, Role.FOLLOWER)
            assert found.write.access_only or found.role is Role.PEER

    @EVERY
    @given(scenes())
    def test_no_write_goes_backwards_or_across(self, scene: Scene) -> None:
        graph = scene.lineage.graph
        for found in scene.findings():
            if found.write is None:
                continue
            held, head = scene.lineage.member_in(scene.lineage.places[found.slot]), graph.member_of(found.write.token)
            assert head is not None
            assert (head.live, found.write.token) == (True, head.token)
            assert graph.account_of(head).id == found.account
            assert not graph.account_of(head).disputed
            content = scene.sightings[found.slot].content
            assert isinstance(content, Holds | Fenced)
            existing = content.identity if isinstance(content, Fenced) else content.token.identity
            assert gate(existing, head.token.identity) is None
            if held is None:
                assert isinstance(content, Holds)  # a stray access token, older than the head's
                assert (head.token.issued_at or 0) > (content.token.issued_at or 0)
            elif held is not head:
                assert not graph.descends(held, head)
                assert graph.newer(head, held) is True or not held.live
                stays = scene.policy.unify is Unify.LINEAGE or (
                    scene.policy.unify is Unify.AUTO and graph.separate(graph.family_of(held), graph.family_of(head))
                )
                if stays and graph.live_tips(graph.family_of(held)):
                    assert head.family in (held.family, *self._displaced_family(scene, found.slot))

    @staticmethod
    def _displaced_family(scene: Scene, slot: Slot) -> list[str]:
        displaced = scene.lineage.graph.members.get(scene.lineage.places[slot].displaced or "")
        return [displaced.family] if displaced else []

    @EVERY
    @given(scenes())
    def test_no_write_goes_over_a_spend_in_flight(self, scene: Scene) -> None:
        graph = scene.lineage.graph
        for found in scene.findings():
            content = scene.sightings[found.slot].content
            if found.write is None or not isinstance(content, Fenced):
                continue
            fenced, head = scene.lineage.member_in(scene.lineage.places[found.slot]), graph.member_of(found.write.token)
            assert fenced is not None
            assert head is not None
            assert graph.newer(head, fenced) is True or (content.failed and head is fenced)

    @EVERY
    @given(scenes())
    def test_a_survey_changes_nothing_and_is_repeatable(self, scene: Scene) -> None:
        assert scene.findings() == scene.findings()
        assert same(scene.lineage, Lineage(scene.facts))

    @EVERY
    @given(scenes())
    def test_a_slot_that_got_its_write_wants_no_other(self, scene: Scene) -> None:
        """Else syncd would write for ever."""
        due = [found.write for found in scene.findings() if found.write is not None]
        for seq, write in enumerate(due, start=len(scene.facts) + 1):
            put = replace(write.token, fingerprint=None) if write.access_only else write.token
            content = Holds(put, digests_of(put, write.slot))
            scene.lineage.apply(Fact(seq, 20.0 * seq, Wrote(write.slot, content, f"put in {write.slot}")))
            scene.sightings[write.slot] = Sighting(write.slot, content, f"put in {write.slot}")
        again = {found.slot: found for found in scene.findings()}
        assert [again[write.slot].write for write in due] == [None] * len(due)
