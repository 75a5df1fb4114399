"""Whose login a token is, what two identities say about each other, and the gate; and that a Secret never shows."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.identity import AUTH, MAX_JWT, MAX_TIME, PROFILE, claims_of, credential_of, gate, identity_of, instant
from syncd.model import NOBODY, Credential, Holds, Identity, Likeness, Secret, Sighting, Slot, short
from tests import fake

# A machine that is busy with something else is not a failure: no deadline.
ANY = settings(deadline=None)


def shaped(payload: bytes) -> str:
    """A JWT with this payload, whatever it is."""
    return f"fake.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.fake"


class TestClaims:
    @pytest.mark.parametrize(
        "jwt",
        [
            "",
            ".",
            "..",
            "an opaque token",
            "two.parts",
            "now.four.parts.here",
            "fake.!!!not base64!!!.fake",
            "fake.é.fake",
            "fake.A.fake",
            shaped(b""),
            shaped(b"{"),
            shaped(b"\xff\xfe"),
            shaped(b"[]"),
            shaped(b"null"),
            shaped(b'"text"'),
            shaped(b"7"),
            shaped(b"NaN"),
            shaped(b"[" * 10_000 + b"]" * 10_000),
            shaped(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
            shaped(b'{"iat": ' + b"9" * 5_000 + b"}"),
            shaped(json.dumps({"iat": 1, "padding": "x" * MAX_JWT}).encode()),
            "." * 100_000,
        ],
        ids=lambda jwt: f"{jwt[:24]!r} of {len(jwt)}",
    )
    def test_what_is_no_jwt_claims_nothing_and_is_a_valid_token_all_the_same(self, jwt: str) -> None:
        assert claims_of(jwt) == {}
        token = credential_of("openai-codex", jwt, "fake-refresh").token
        assert (token.identity, token.issued_at, token.expires_at, token.session) == (NOBODY, None, None, None)

    @ANY
    @given(st.text() | st.binary().map(shaped))
    def test_no_text_raises(self, jwt: str) -> None:
        credential_of("openai-codex", jwt, jwt, jwt)

    @ANY
    @given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
    def test_the_payload_is_what_was_encoded_whatever_its_padding(self, payload: dict[str, object]) -> None:
        assert claims_of(shaped(json.dumps(payload).encode())) == payload

    @pytest.mark.parametrize("value", [None, True, False, "1700000000", [1], {}, 0, -1, float("nan"), float("inf")])
    def test_an_absurd_time_is_no_time(self, value: object) -> None:
        assert instant(value) is None
        token = credential_of("openai-codex", shaped(json.dumps({"iat": value, "exp": value}).encode()), None).token
        assert (token.issued_at, token.expires_at) == (None, None)

    @pytest.mark.parametrize("value", [10**400, -(10**400), MAX_TIME + 1, 1e300])
    def test_a_time_that_no_date_can_show_is_no_time(self, value: float) -> None:
        assert instant(value) is None

    @pytest.mark.parametrize("value", [1, 1_700_000_000, 1_700_000_000.5, MAX_TIME])
    def test_a_time_is_seconds(self, value: float) -> None:
        assert instant(value) == value

    @pytest.mark.parametrize("odd", [None, 7, True, [], {}, "", "  "])
    def test_claims_of_the_wrong_type_are_absent(self, odd: object) -> None:
        claims: dict[str, object] = {AUTH: odd, PROFILE: odd, "session_id": odd, "sid": odd, "email": odd}
        assert credential_of("openai-codex", shaped(json.dumps(claims).encode()), None).token.identity == NOBODY
        inner: dict[str, object] = {AUTH: {"chatgpt_account_id": odd, "chatgpt_user_id": odd}, PROFILE: {"email": odd}}
        token = credential_of("openai-codex", shaped(json.dumps(inner).encode()), None).token
        assert (token.identity, token.session) == (NOBODY, None)

    @pytest.mark.parametrize(
        ("claims", "session"),
        [({}, None), ({"session_id": "a"}, "a"), ({"sid": "b"}, "b"), ({"session_id": " a ", "sid": "b"}, "a")],
    )
    def test_session(self, claims: dict[str, object], session: str | None) -> None:
        assert credential_of("openai-codex", fake.jwt(**claims), None).token.session == session  # type: ignore[arg-type]


class TestCredential:
    def test_the_access_token_tells_first_then_the_id_token_then_the_store(self) -> None:
        stored = Identity("stored-account", "stored-user", "stored@example.invalid")
        access = fake.jwt(account="from-access", user=None, email=None)
        id_token = fake.jwt(account="from-id", user="user-from-id", email=None)

        token = credential_of("openai-codex", access, None, id_token, stored=stored).token

        assert token.identity == Identity("from-access", "user-from-id", "stored@example.invalid")

    def test_expiry_that_the_store_tells_counts_only_where_the_token_has_none(self) -> None:
        assert credential_of("p", fake.jwt(1_000, 60), None, expires_at=9.0).token.expires_at == 1_060
        assert credential_of("p", "opaque", None, expires_at=9.0).token.expires_at == 9
        assert credential_of("p", "opaque", None, expires_at=-9.0).token.expires_at is None

    @pytest.mark.parametrize("refresh", [None, ""])
    def test_without_a_refresh_token_it_is_access_only(self, refresh: str | None) -> None:
        credential = credential_of("p", fake.jwt(), refresh)
        assert (credential.refresh, credential.token.fingerprint) == (None, None)

    def test_the_fingerprint_is_the_sha256_of_the_refresh_token(self) -> None:
        token = credential_of("p", fake.jwt(), "abc").token
        assert token.fingerprint == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert short(token.fingerprint) == "ba7816bf"


class TestNormalisation:
    @pytest.mark.parametrize("odd", [None, "", "  ", 7, True, [], {}, b"bytes"])
    def test_what_is_no_text_or_empty_is_absent(self, odd: object) -> None:
        assert identity_of(odd, odd, odd) == NOBODY

    def test_ids_are_trimmed_and_keep_their_case_while_emails_fold_it(self) -> None:
        assert identity_of(" Acct-A\n", "\tUser-A ", " Fake.One@EXAMPLE.invalid ") == Identity(
            "Acct-A", "User-A", "fake.one@example.invalid"
        )
        assert identity_of(email="STRASSE@example.invalid") == identity_of(email="straße@example.invalid")

    @ANY
    @given(st.text(), st.text(), st.text())
    def test_is_idempotent(self, account: str, user: str, email: str) -> None:
        once = identity_of(account, user, email)
        again = identity_of(once.account_id, once.user_id, once.email)
        assert (again.account_id, again.user_id) == (once.account_id, once.user_id)
        assert (again.email is None) == (once.email is None)

    @pytest.mark.parametrize(
        ("identity", "known"),
        [
            (NOBODY, False),
            (Identity(user_id="u"), False),
            (Identity("a"), True),
            (Identity(email="e"), True),
        ],
    )
    def test_a_user_id_alone_tells_no_account(self, identity: Identity, known: bool) -> None:
        assert identity.known is known


# Every combination of not known, "x" and "y", in each of three fields, on both sides: 27 x 27.
SIDES = [Identity(*three) for three in itertools.product([None, "x", "y"], repeat=3)]


def likeness(one: Identity, other: Identity) -> Likeness:
    """Rule 6, written independently: as a table over what each pair of fields says."""

    def says(mine: str | None, theirs: str | None) -> str:
        return "?" if mine is None or theirs is None else "=" if mine == theirs else "!"

    match (
        says(one.account_id, other.account_id),
        says(one.user_id, other.user_id),
        says(one.email, other.email),
    ):
        case ("!", _, _):
            return Likeness.DIFFERENT
        case ("=", user, email):
            return Likeness.DIFFERENT if "!" in (user, email) else Likeness.SAME
        case ("?", _, "?"):
            return Likeness.UNKNOWN
        case ("?", user, email):
            return Likeness.SAME if email == "=" and user != "!" else Likeness.DIFFERENT
        case impossible:
            raise AssertionError(impossible)


class TestGate:
    @pytest.mark.parametrize("existing", SIDES, ids=str)
    def test_the_whole_truth_table(self, existing: Identity) -> None:
        for incoming in SIDES:
            expected = likeness(existing, incoming)
            assert existing.compare(incoming) is expected
            tells_nothing = existing.account_id is None and existing.email is None
            tells_something = incoming.account_id is not None or incoming.email is not None
            allowed = expected is Likeness.SAME or (expected is Likeness.UNKNOWN and tells_nothing and tells_something)
            assert (gate(existing, incoming) is None) is allowed, (existing, incoming)

    def test_comparison_is_symmetric(self) -> None:
        for one, other in itertools.product(SIDES, SIDES):
            assert one.compare(other) is other.compare(one)

    @pytest.mark.parametrize(
        ("existing", "incoming", "reason"),
        [
            (Identity("a"), Identity("b"), "another account's login"),
            (Identity("a", "u"), Identity("a", "v"), "another account's login"),
            (Identity("a"), Identity(email="e"), "nothing shows that both are the same account"),
            (Identity("a"), NOBODY, "nothing shows that both are the same account"),
            (NOBODY, NOBODY, "neither side tells whose login it is"),
        ],
    )
    def test_a_refusal_says_why(self, existing: Identity, incoming: Identity, reason: str) -> None:
        denied = gate(existing, incoming)
        assert denied is not None
        assert denied.reason == reason


TOKEN = fake.refresh("never-shown")


def credential() -> Credential:
    return credential_of("openai-codex", fake.jwt(), TOKEN, fake.jwt(2_000))


def raised() -> str:
    """A traceback of somebody who put the secret into an error."""
    try:
        raise ValueError(Secret(TOKEN), credential())
    except ValueError:
        return traceback.format_exc()


class TestSecret:
    @pytest.mark.parametrize(
        "show",
        [
            lambda: repr(Secret(TOKEN)),
            lambda: str(Secret(TOKEN)),
            lambda: f"{Secret(TOKEN)} {Secret(TOKEN)!r} {Secret(TOKEN)!s} {Secret(TOKEN)!a}",
            lambda: format(Secret(TOKEN)),
            lambda: "%s %r" % (Secret(TOKEN), Secret(TOKEN)),  # noqa: UP031  the old way is one of the ways
            lambda: repr([Secret(TOKEN)]) + repr({"a": Secret(TOKEN)}),
            lambda: repr(credential()) + str(credential()),
            lambda: repr(Sighting(Slot("s", "n"), Holds(credential().token), "etag", credential())),
            raised,
        ],
    )
    def test_no_way_of_printing_shows_it(self, show: Callable[[], str]) -> None:
        shown = show()
        assert shown
        for secret in (TOKEN, fake.jwt(), fake.jwt(2_000)):
            assert secret not in shown

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_it_is_not_pickled_nor_is_what_holds_it(self, protocol: int) -> None:
        for thing in (Secret(TOKEN), credential()):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(thing, protocol)
        with pytest.raises(TypeError):
            copy.deepcopy(credential())

    def test_it_has_no_dict_to_be_dumped(self) -> None:
        with pytest.raises(TypeError):
            vars(Secret(TOKEN))
        with pytest.raises(TypeError):
            json.dumps(Secret(TOKEN))

    def test_it_shows_its_fingerprint_instead(self) -> None:
        assert repr(Secret(TOKEN)) == f"Secret({short(Secret(TOKEN).fingerprint)})"

    def test_a_token_has_no_field_for_a_secret(self) -> None:
        """What is recorded and shown is a Token; a new field of type Secret there would be recorded too."""
        token = credential().token
        assert not any(isinstance(getattr(token, field.name), Secret) for field in fields(token))
        assert TOKEN not in repr(token)

    @ANY
    @given(st.text(), st.text())
    def test_equality_is_that_of_the_tokens(self, one: str, other: str) -> None:
        assert (Secret(one) == Secret(other)) is (one == other)
        assert Secret(one) != one
        assert bool(Secret(one)) is bool(one)
        assert len({Secret(one), Secret(one)}) == 1

    def test_any_text_has_a_fingerprint(self) -> None:
        """A store can hold half of a surrogate pair."""
        assert len(Secret("\ud800").fingerprint) == 64
