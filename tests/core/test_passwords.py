"""Passwords are hashed with OWASP's Argon2id, out of the requests' way, and weak ones are refused."""

import asyncio
import os
import string
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwdlib.hashers.argon2 import Argon2Hasher

from doable.core import clock, passwords
from doable.core.errors import AppException, Code
from doable.core.passwords import Hasher

pytestmark = pytest.mark.usefixtures("true_cost")

PASSWORD = "correct horse battery"


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher()
    yield hasher
    hasher.close()


# Hashing


async def test_a_hash_says_how_it_was_made(hasher: Hasher) -> None:
    stored = await hasher.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != await hasher.hash(PASSWORD)


async def test_only_the_password_itself_matches(hasher: Hasher) -> None:
    stored = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, stored) == (True, None)
    for other in (PASSWORD.upper(), f"{PASSWORD} ", f" {PASSWORD}", PASSWORD[:-1], "", "\x00"):
        assert await hasher.verify(other, stored) == (False, None)


async def test_nothing_is_cut_off(hasher: Hasher) -> None:
    long = "é" * 127
    stored = await hasher.hash(f"{long}a")
    assert (await hasher.verify(f"{long}a", stored)).ok
    assert not (await hasher.verify(f"{long}b", stored)).ok


async def test_the_same_text_from_another_keyboard_is_the_same_password(hasher: Hasher) -> None:
    stored = await hasher.hash(unicodedata.normalize("NFD", "Čežnja žuta"))
    assert (await hasher.verify(unicodedata.normalize("NFC", "Čežnja žuta"), stored)).ok
    assert not (await hasher.verify("Ceznja zuta", stored)).ok


async def test_a_hash_with_other_parameters_is_replaced_when_the_password_is_right(hasher: Hasher) -> None:
    weak = Argon2Hasher(memory_cost=8192, time_cost=1, parallelism=1).hash(PASSWORD)
    assert await hasher.verify("wrong password", weak) == (False, None)
    verified = await hasher.verify(PASSWORD, weak)
    assert verified.ok
    assert verified.rehashed is not None
    assert verified.rehashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.verify(PASSWORD, verified.rehashed) == (True, None)


@pytest.mark.parametrize("stored", [None, "", "!", "deleted", PASSWORD, "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$"])
async def test_an_account_without_a_password_takes_the_same_work(hasher: Hasher, stored: str | None) -> None:
    assert await hasher.verify(PASSWORD, stored) == (False, None)
    assert hasher.hashed == 1


async def test_the_work_is_counted(hasher: Hasher) -> None:
    stored = await hasher.hash(PASSWORD)
    await hasher.verify(PASSWORD, stored)
    await hasher.verify("wrong", stored)
    await hasher.verify("wrong", None)
    assert hasher.hashed == 4


async def test_the_dummy_costs_what_a_hash_costs(hasher: Hasher) -> None:
    """A guard against a dummy that is refused before it is computed; the counted work is the real promise."""
    stored = await hasher.hash(PASSWORD)
    spent = {"known": 0.0, "unknown": 0.0}
    for _ in range(10):
        for name, against in (("known", stored), ("unknown", None)):
            before = clock.monotonic()
            await hasher.verify("wrong", against)
            spent[name] += clock.monotonic() - before
    assert spent["unknown"] > spent["known"] / 4


# The queue


async def test_hashing_leaves_the_event_loop_free(hasher: Hasher) -> None:
    turns = 0
    hashing = asyncio.create_task(hasher.hash(PASSWORD))
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2


async def test_a_full_queue_refuses_at_once(hasher: Hasher) -> None:
    hasher = Hasher(queue_limit=3)
    waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(AppException) as refused:
        await hasher.verify(PASSWORD, None)
    assert refused.value.code is Code.UNAVAILABLE
    assert refused.value.headers == {"Retry-After": "1"}
    assert len(set(await asyncio.gather(*waiting))) == 3
    assert hasher.hashed == 3
    assert (await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))).ok
    hasher.close()


async def test_callers_that_went_away_leave_their_places() -> None:
    hasher = Hasher(queue_limit=4)
    for _ in range(5):
        waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(4)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        assert all(
            isinstance(outcome, asyncio.CancelledError)
            for outcome in await asyncio.gather(*waiting, return_exceptions=True)
        )
    assert (await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))).ok
    assert hasher.hashed < 20, "what nobody waits for any more is not computed"
    hasher.close()


async def test_no_network_of_strangers_takes_the_queue_and_all_of_them_leave_a_reserve() -> None:
    hasher = Hasher(queue_limit=passwords.RESERVE + 2 * passwords.SHARE)
    flood = [
        asyncio.create_task(hasher.hash(PASSWORD, share=network))
        for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
        for _ in range(passwords.SHARE + 1)
    ]
    await asyncio.sleep(0)
    own = asyncio.create_task(hasher.verify(PASSWORD, None))
    await asyncio.sleep(0)
    refused = [task for task in flood if task.done()]
    assert len(flood) - len(refused) == 2 * passwords.SHARE
    for task in refused:
        with pytest.raises(AppException) as refusal:
            await task
        assert refusal.value.headers == {"Retry-After": "1"}
    for task in flood:
        task.cancel()
    assert await own == (False, None)
    await asyncio.gather(*flood, return_exceptions=True)
    assert (await hasher.verify(PASSWORD, None, share="192.0.2.0/24")) == (False, None)
    assert not +hasher._strangers
    hasher.close()


async def test_a_sandbox_that_refuses_priorities_stops_no_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    hasher = Hasher()
    assert await hasher.hash(PASSWORD)
    hasher.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a thread a priority of its own")
async def test_only_the_hashing_thread_gives_way() -> None:
    if os.getpriority(os.PRIO_PROCESS, 0) >= passwords.NICENESS:
        pytest.skip("this process is as nice already")
    hasher = Hasher()
    before = {thread.native_id for thread in threading.enumerate()}
    own = os.getpriority(os.PRIO_PROCESS, 0)
    await hasher.hash(PASSWORD)
    (thread,) = [thread for thread in threading.enumerate() if thread.native_id not in before]
    assert thread.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == passwords.NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    hasher.close()


async def test_what_waits_at_the_end_is_still_answered() -> None:
    hasher = Hasher()
    waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
    await asyncio.sleep(0)
    hasher.close()
    assert len(set(await asyncio.gather(*waiting))) == 3


# Weakness

COMMON = [
    *[
        "password",
        "PASSWORD",
        "Password1!",
        "password1234",
        "passw0rd",
        "P@ssw0rd",
        "password!!!",
        "123password",
        "Password 2026",
    ],
    *[
        "qwertyuiop",
        "Qwerty123!",
        "letmein123",
        "iloveyou",
        "football1",
        "monkey1234",
        "trustno1",
        "superman",
        "\uff50assword1",
    ],
]


@pytest.mark.parametrize("password", COMMON)
def test_a_common_password_is_refused(password: str) -> None:
    assert "common" in (passwords.weakness(password) or "")


@pytest.mark.parametrize(
    "password",
    [
        *[
            "12345678",
            "123456789",
            "1234567890",
            "87654321",
            "9876543210",
            "01234567",
            "34567890",
            "abcdefgh",
            "HGFEDCBA",
        ],
        *["aaaaaaaa", "        ", "00000000", "!!!!!!!!", "ababababab", "aaaaaaab", "éééééééé", "👍" * 8, "xXxXxXxX"],
    ],
)
def test_a_regular_password_is_refused(password: str) -> None:
    assert passwords.weakness(password)


@pytest.mark.parametrize(
    ("password", "personal"),
    [
        ("ana-kovac", ("ana-kovac", "a@example.com")),
        ("Ana.Kovac1990", ("x", "ana.kovac@example.com")),
        ("ana.kovac@example.com", ("x", "Ana.Kovac@example.com")),
        ("2026!anakovac!", ("AnaKovac",)),
        ("bob2bob3bob", ("Bob",)),
        ("KOVAČ-12345", ("kovac\u030c",)),
        ("johndoe-abc", ("johndoe",)),
    ],
)
def test_ones_own_name_is_refused(password: str, personal: tuple[str, ...]) -> None:
    assert "own name" in (passwords.weakness(password, *personal) or "")
    assert "own name" not in (passwords.weakness(password, "somebody", "else@example.com") or "")


@pytest.mark.parametrize(
    "password",
    [
        *[
            "correct horse battery staple",
            "gT7#kQ2!vX",
            "ana plays the banjo",
            "kljn4sdf",
            "čežnja žuta",
            "東京スカイツリー展望",
        ],
        *["password for the shed door", "x" * 8 + "yz", "a1b2c3d4e5f6g7", "        a b c"],
    ],
)
def test_any_other_password_is_fine_whatever_it_is_composed_of(password: str) -> None:
    assert passwords.weakness(password, "ana", "ana@example.com") is None


def test_a_short_or_empty_name_refuses_nothing() -> None:
    assert passwords.weakness("gT7#kQ2!vX", "", "x@example.com", "T7") is None


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_asking_for_weakness_never_fails(password: str, username: str, email: str) -> None:
    reason = passwords.weakness(password, username, email)
    assert reason is None or reason.endswith(".")


def test_the_list_has_the_common_passwords_of_eight_characters_and_nothing_of_its_header() -> None:
    long = [password for password in passwords._COMMON if len(password) >= 8]
    assert len(long) >= 3000
    assert all(password == password.casefold().strip() and " " not in password for password in passwords._COMMON)
    assert not any(password.startswith("#") for password in passwords._COMMON)


def test_no_kind_of_character_is_asked_for() -> None:
    """ASVS 6.2.5: no composition rules."""
    for alphabet in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
        assert (
            passwords.weakness(
                alphabet[1] + alphabet[7] + alphabet[4] + alphabet[9] + alphabet[2] + alphabet[8] * 2 + alphabet[3]
            )
            is None
        )
