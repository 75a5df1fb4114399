"""Profiles to sightings and back: units, names, fences, strangers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd.identity import credential_of
from syncd.model import Alien, Content, Fenced, Holds, Identity, Unreadable, Vacant
from syncd.ports import Failed, Replacement, WriteOutcome, Written
from syncd_adapters.openclaw.document import sightings_of
from syncd_adapters.openclaw.edit import Edited, edit
from syncd_adapters.openclaw.fence import Fence, Odd, digest, fence_in
from tests import fake
from tests.adapters import openclaw_state as claw
from tests.adapters.conformance import credential, login

NOW = 2_000_000_000.0
SLOT = "openai:default"


def contents(document: dict[str, object]) -> dict[str, Content]:
    return {one.slot.name: one.content for one in sightings_of("s", document)}


def content(one: object, name: str = SLOT) -> Content:
    (found,) = contents(claw.only(one, name)).values()
    return found


def edited(one: dict[str, object], **of: object) -> dict[str, object]:
    """The profile after a write of generation two."""
    document = claw.only(one)
    etag = sightings_of("s", document)[0].etag
    outcome: Edited | WriteOutcome = edit(
        document, Replacement(SLOT, etag, credential(login("two", 2_000.0), "openai-codex"), NOW)
    )
    assert isinstance(outcome, Edited), of
    profiles = outcome.document["profiles"]
    assert isinstance(profiles, dict)
    found: dict[str, object] = profiles[SLOT]
    return found


# -- fences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "provider", "kind", "secret", "expected"),
    [  # made with Node's JSON.stringify and createHash
        (
            SLOT,
            "openai",
            "refresh",
            "fake-refresh-1",
            "97fc6ed64b5d8408aa63575af6f861bc0a231089a2419188b2b0faf369ef49b7",
        ),
        (
            SLOT,
            "openai",
            "access",
            "fake-access-1",
            "e6d55297fb61b3294cdd524d750e2b52c75f78b20252f9ec048427ae95e649d6",
        ),
        (
            "openai-codex:jürgen 😀",
            "openai-codex",
            "refresh",
            'fake-\u2028-\u0007-"-\\-é',
            "02a78ae23ab64e53c628f65cb2fb8409e66368caa5eb971fc88ffbcb82dee382",
        ),
    ],
)
def test_the_digest_is_openclaws(profile: str, provider: str, kind: str, secret: str, expected: str) -> None:
    assert digest(profile, provider, "access" if kind == "access" else "refresh", secret) == expected


def test_a_held_token_is_named_as_a_fence_would_name_it() -> None:
    found = content(claw.profile(provider="openai", access="fake-access-1", refresh="fake-refresh-1"))
    assert isinstance(found, Holds)
    assert found.digests == (
        "97fc6ed64b5d8408aa63575af6f861bc0a231089a2419188b2b0faf369ef49b7",
        "e6d55297fb61b3294cdd524d750e2b52c75f78b20252f9ec048427ae95e649d6",
    )


@pytest.mark.parametrize("failed", [False, True])
def test_a_fence_is_never_a_token(failed: bool) -> None:
    one = claw.fenced("b" * 64, failed=failed)
    owner = Identity(fake.ACCOUNT, None, fake.EMAIL)
    assert content(one) == Fenced(failed, "b" * 64, "openai-codex", owner)
    assert "fake-refresh" not in repr(sightings_of("s", claw.only(one)))


def test_the_two_halves_of_a_fence_must_agree() -> None:
    good = claw.fenced()
    access, refresh = str(good["access"]), str(good["refresh"])
    assert fence_in(access, refresh, 1) == Fence(claw.CLAIM, False, "a" * 64)
    other = str(claw.fenced(claim="f" * 32)["refresh"])
    settled = str(claw.fenced(failed=True)["refresh"])
    for odd in ((access, other, 1), (access, settled, 1), (access, refresh, 2), (refresh, access, 1)):
        assert fence_in(*odd) == Odd()
    assert fence_in(access, fake.refresh("x"), 1) == Odd()
    assert fence_in(fake.jwt(), refresh[:-1], 1) == Odd()
    assert fence_in(fake.jwt(), fake.refresh("x"), 1) is None


def test_every_fence_has_its_own_etag() -> None:
    """Compare-and-set compares the whole fence: a new claim on the same token is another one."""
    each = (claw.fenced(), claw.fenced(failed=True), claw.fenced(claim="f" * 32))
    assert len({sightings_of("s", claw.only(one))[0].etag for one in each}) == 3


def test_over_a_fence_goes_a_normal_credential() -> None:
    two = login("two", 2_000.0)
    found = edited(claw.fenced(failed=True, provider="openai", displayName="me"))
    assert (found["type"], found["provider"], found["displayName"]) == ("oauth", "openai", "me")
    assert (found["access"], found["refresh"], found["expires"]) == (two.access, two.refresh, 5_600_000)
    assert isinstance(content(found), Holds)


# -- what is whose -------------------------------------------------------------------------------------------


def test_every_kind_of_profile_is_judged_alone() -> None:
    found = contents(
        claw.document(
            openai__default=claw.profile(),
            openai_codex__old=claw.profile(provider=" OpenAI-Codex "),
            copilot__github=claw.profile(provider="github-copilot"),
            anthropic__oauth=claw.profile(provider="anth\nropic" + "x" * 100),
            openai__key={"mode": "api_key", "apiKey": "fake"},
            openai__static={"type": "token", "provider": "openai", "token": "fake"},
            openai__out=claw.profile(access="", refresh=" "),
            openai__half=claw.profile(access=None),
            openai__none=None,
            openai__alias=claw.profile(type=None, mode="oauth"),
        )
    )
    assert {name: type(one) for name, one in found.items()} == {
        "openai:default": Holds,
        "openai_codex:old": Holds,
        "copilot:github": Alien,
        "anthropic:oauth": Alien,
        "openai:key": Alien,
        "openai:static": Alien,
        "openai:out": Vacant,
        "openai:half": Unreadable,
        "openai:none": Unreadable,
        "openai:alias": Holds,
    }
    assert found["copilot:github"] == Alien("unsupported provider github-copilot")
    assert found["openai:key"] == Alien("an API key")
    wild = found["anthropic:oauth"]
    assert isinstance(wild, Alien)
    assert wild.reason.isprintable()
    assert len(wild.reason) < 100


def test_both_provider_names_are_one_provider() -> None:
    for provider in ("openai", "openai-codex"):
        found = content(claw.profile(provider=provider))
        assert isinstance(found, Holds)
        assert found.token.provider == "openai-codex"


@pytest.mark.parametrize("name", ["", "-", "__proto__", "constructor", "a\0b", "a\nb", "\ud800", "x" * 600])
def test_a_hostile_profile_id_is_unreadable_and_the_others_are_read(name: str) -> None:
    found = contents({"version": 1, "profiles": {name: claw.profile(), SLOT: claw.profile()}})
    assert isinstance(found.pop(SLOT), Holds)
    ((shown, odd),) = found.items()
    assert isinstance(odd, Unreadable)
    assert shown.startswith("?")
    assert shown.isprintable()
    assert len(shown) <= 65


def test_too_many_profiles_are_not_read() -> None:
    many = {f"openai:{number}": claw.profile() for number in range(1_001)}
    assert isinstance(contents({"version": 1, "profiles": many})["-"], Unreadable)


def test_an_inactive_replacement_is_no_slot() -> None:
    one = claw.profile(setup={"replacement": True})
    assert contents(claw.document(openai__setup=one, openai__kept=claw.profile(setup={"replacement": 1}))).keys() == {
        "openai:kept"
    }


def test_two_accounts_in_one_store_are_two_sightings() -> None:
    other = claw.profile("b", access=fake.jwt(account="acct-fake-2", user="user-fake-2", email=None), accountId=None)
    found = sightings_of("s", claw.document(openai__a=claw.profile(), openai__b=other))
    assert [one.credential and one.credential.token.identity.account_id for one in found] == [
        "acct-fake-1",
        "acct-fake-2",
    ]


def test_without_a_refresh_token_it_is_access_only() -> None:
    found = content(claw.profile(refresh=""))
    assert isinstance(found, Holds)
    assert found.token.fingerprint is None
    assert found.digests is None


# -- units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        (4_102_444_800_000, 4_102_444_800.0),
        (1_500.0, 1.5),
        (0, None),
        (-5, None),
        ("5", None),
        (True, None),
        (None, None),
        (10**400, None),
    ],
)
def test_expires_is_in_milliseconds(expires: object, seconds: float | None) -> None:
    found = content(claw.profile(access="fake-opaque", expires=expires))
    assert isinstance(found, Holds)
    assert found.token.expires_at == seconds


def test_a_write_keeps_the_unit_and_the_number_type() -> None:
    found = edited(claw.profile(expires=1.0))
    assert found["expires"] == 5_600_000
    assert isinstance(found["expires"], int)


def test_a_token_without_an_expiry_is_taken_to_live_an_hour() -> None:
    document = claw.only(claw.profile())
    opaque = credential_of("openai-codex", "fake-opaque", fake.refresh("two"))
    outcome = edit(document, Replacement(SLOT, sightings_of("s", document)[0].etag, opaque, NOW))
    assert isinstance(outcome, Edited)
    assert json.dumps(outcome.document).count(f'"expires": {int(NOW + 3_600) * 1_000}') == 1


# -- what a write leaves -------------------------------------------------------------------------------------


def test_a_write_adds_the_owner_and_keeps_its_spelling() -> None:
    bare = edited(claw.profile(accountId=None, email=None))
    assert (bare["accountId"], bare["email"]) == (fake.ACCOUNT, fake.EMAIL)
    spelt = edited(claw.profile(email=fake.EMAIL.upper()))
    assert spelt["email"] == fake.EMAIL.upper()


def test_an_old_id_token_goes_with_its_generation() -> None:
    document = claw.only(claw.profile(idToken="fake-old"))
    new = credential_of("openai-codex", fake.jwt(2_000.0), fake.refresh("two"))
    outcome = edit(document, Replacement(SLOT, sightings_of("s", document)[0].etag, new, NOW))
    assert isinstance(outcome, Edited)
    assert "idToken" not in json.dumps(outcome.document)


def test_other_profiles_and_keys_stay_as_they_are(tmp_path: Path) -> None:
    strange = {"a": [1, 2.5, None, "é\u2028😀", 10**20], "b": {"__proto__": {}}, "lone": "\ud800"}
    whole = {
        **claw.document(z__z=strange, copilot__x=claw.profile(provider="github-copilot")),
        "order": {"x": ["y"]},
    }
    profiles = whole["profiles"]
    assert isinstance(profiles, dict)
    profiles[SLOT] = claw.profile(x_own=strange, copyToAgents=True)
    path = claw.write_json(tmp_path / ".openclaw", "main", whole)
    store = claw.stores(tmp_path)["main"]
    (seen,) = [one for one in store.read().sightings if one.slot.name == SLOT]
    done = store.write(Replacement(SLOT, seen.etag, credential(login("two"), "openai-codex"), NOW))
    assert isinstance(done, Written)
    after = json.loads(path.read_text())
    for key in ("access", "refresh", "expires", "idToken"):
        after["profiles"][SLOT].pop(key)
        profiles[SLOT].pop(key, None)
    assert after == whole
    assert list(after["profiles"]) == list(profiles)
    assert path.read_text().endswith("}\n")


def test_a_credential_without_a_refresh_token_is_refused(tmp_path: Path) -> None:
    path = claw.write_json(tmp_path / ".openclaw", "main", claw.only(claw.profile()))
    before, store = path.read_bytes(), claw.stores(tmp_path)["main"]
    bare = credential_of("openai-codex", fake.jwt(2_000.0), None)
    assert isinstance(store.write(Replacement(SLOT, store.read().sightings[0].etag, bare, NOW)), Failed)
    assert path.read_bytes() == before
