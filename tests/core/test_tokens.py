"""Only credentials that this server has made are accepted, and reading one never raises, whatever it is."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doable.core import ids, tokens
from doable.core.tokens import AccessTokens, Claims, RefreshTokens

KEY = b"the key of these tests, 32 bytes or more"
OLD_KEY = b"the key before it, also 32 bytes or more"
ISSUER = "https://todo.example.com"
LIFETIME = timedelta(minutes=30)
NOW = datetime(2026, 11, 22, 8, 41, 52, 123000, tzinfo=UTC)
USER = UUID("019aaaf2-1c7b-7d3e-9a51-2f4c8d6b0e13")
SESSION = UUID("019aaaf2-1c7b-7d3e-9a51-2f4c8d6b0e14")

ACCESS = AccessTokens(KEY, None, issuer=ISSUER, lifetime=LIFETIME)
REFRESH = RefreshTokens(KEY, None)
VALID = ACCESS.issue(USER, SESSION, 3, NOW)

HEADER = {"alg": "HS256", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "doable",
    "sub": str(USER),
    "sid": str(SESSION),
    "gen": 3,
    "jti": str(ids.new_id()),
    "iat": int(NOW.timestamp()),
    "exp": int((NOW + LIFETIME).timestamp()),
}


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: object, payload: object, key: bytes = KEY, algorithm: Callable[..., Any] = hashlib.sha256) -> str:
    """A token made by hand; strings stand for JSON that no encoder would write."""
    parts = [part if isinstance(part, str) else json.dumps(part, separators=(",", ":")) for part in (header, payload)]
    content = ".".join(encoded(part.encode("utf-8", "surrogatepass")) for part in parts)
    return f"{content}.{encoded(hmac.new(key, content.encode(), algorithm).digest())}"


def with_claims(**claims: object) -> str:
    return signed(HEADER, {**CLAIMS, **claims})


def without(claim: str) -> str:
    return signed(HEADER, {name: value for name, value in CLAIMS.items() if name != claim})


def with_header(**header: object) -> str:
    return signed({**HEADER, **header}, CLAIMS)


def with_raw(claim: str, value: str) -> str:
    """A claim as JSON text."""
    rest = json.dumps({name: kept for name, kept in CLAIMS.items() if name != claim})
    return signed(HEADER, f'{rest[:-1]}, "{claim}": {value}}}')


CLAIMED = Claims(USER, SESSION, 3, datetime.fromtimestamp(CLAIMS["exp"], UTC))
HEADER_PART, PAYLOAD_PART, SIGNATURE_PART = VALID.split(".")

HOSTILE: dict[str, str] = {
    "empty": "",
    "dots": "..",
    "four parts": f"{VALID}.x",
    "two parts": f"{HEADER_PART}.{PAYLOAD_PART}",
    "no signature": f"{HEADER_PART}.{PAYLOAD_PART}.",
    "prefix": f"Bearer {VALID}",
    "newline": f"{VALID}\n",
    "space": f" {VALID}",
    "padding": f"{VALID}=",
    "a signature's spare bits": VALID[:-1] + chr(ord(VALID[-1]) + 1),
    "junk in base64": f"{HEADER_PART}.{PAYLOAD_PART[:8]}!{PAYLOAD_PART[8:]}.{SIGNATURE_PART}",
    "standard alphabet": f"{HEADER_PART}.{PAYLOAD_PART}.{'+/' * 21}A",
    "fullwidth": VALID.replace("e", "\uff45"),
    "lone surrogate": f"\ud800{VALID}",
    "nul": f"{VALID}\x00",
    "another key": signed(HEADER, CLAIMS, b"x" * 32),
    "the empty key": signed(HEADER, CLAIMS, b""),
    "alg none": signed({**HEADER, "alg": "none"}, CLAIMS),
    "alg none, unsigned": ".".join([encoded(b'{"alg":"none","typ":"at+jwt"}'), PAYLOAD_PART, ""]),
    "alg NoNe": signed({**HEADER, "alg": "NoNe"}, CLAIMS),
    "alg absent": signed({"typ": "at+jwt"}, CLAIMS),
    "alg HS512": signed({**HEADER, "alg": "HS512"}, CLAIMS, algorithm=hashlib.sha512),
    "alg HS384": signed({**HEADER, "alg": "HS384"}, CLAIMS, algorithm=hashlib.sha384),
    "alg RS256": with_header(alg="RS256"),
    "alg ES256": with_header(alg="ES256"),
    "alg a list": with_header(alg=["HS256"]),
    "alg in lower case": with_header(alg="hs256"),
    "typ refresh": with_header(typ="refresh"),
    "typ JWT": with_header(typ="JWT"),
    "typ absent": signed({"alg": "HS256"}, CLAIMS),
    "typ null": with_header(typ=None),
    "kid of a file": with_header(kid="../../dev/null"),
    "kid of SQL": with_header(kid="' UNION SELECT 'x' --"),
    "jku": with_header(jku="http://127.0.0.1:1/keys"),
    "jwk": with_header(jwk={"kty": "oct", "k": encoded(KEY)}),
    "x5u": with_header(x5u="http://127.0.0.1:1/cert"),
    "crit": with_header(crit=["exp"]),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "zip": with_header(zip="DEF"),
    "JWE": ".".join(
        [encoded(b'{"alg":"dir","enc":"A256GCM"}'), "", encoded(b"0" * 12), encoded(b"x" * 64), encoded(b"t" * 16)]
    ),
    "header a list": signed("[]", CLAIMS),
    "header twice": signed('{"alg":"none","alg":"HS256","typ":"at+jwt"}', CLAIMS),
    "payload a list": signed(HEADER, [CLAIMS]),
    "payload null": signed(HEADER, "null"),
    "payload no JSON": signed(HEADER, "{"),
    "payload no UTF-8": ".".join([HEADER_PART, encoded(b"\xff\xfe"), SIGNATURE_PART]),
    "payload deep": signed(HEADER, "[" * 2800),
    "100,000 deep": signed(HEADER, "[" * 100_000),
    "1 MB": signed(HEADER, {**CLAIMS, "x": "a" * 1_000_000}),
    "1 MB of nothing": "a" * 1_000_000,
    "more than 4 kB": signed(HEADER, json.dumps(CLAIMS) + " " * 4000),
    **{f"no {claim}": without(claim) for claim in CLAIMS},
    "a claim more": with_claims(admin=True),
    "nbf in the future": with_claims(nbf=int((NOW + LIFETIME).timestamp())),
    "sub twice": with_raw("sub", f'"{USER}", "sub": "{SESSION}"'),
    "sub an int": with_claims(sub=1),
    "sub a list": with_claims(sub=[str(USER)]),
    "sub null": with_claims(sub=None),
    "sub empty": with_claims(sub=""),
    "sub in upper case": with_claims(sub=str(USER).upper()),
    "sub without hyphens": with_claims(sub=USER.hex),
    "sub a URN": with_claims(sub=USER.urn),
    "sub a surrogate": with_raw("sub", '"\\ud800"'),
    "sid an int": with_claims(sid=1),
    "sid a name": with_claims(sid="me"),
    "jti an int": with_claims(jti=1),
    "wrong aud": with_claims(aud="another"),
    "aud a list": with_claims(aud=["doable"]),
    "aud null": with_claims(aud=None),
    "wrong iss": with_claims(iss="https://todo.example.org"),
    "partial iss": with_claims(iss="https://todo.example"),
    "iss with a slash": with_claims(iss=f"{ISSUER}/"),
    "iss a list": with_claims(iss=[ISSUER]),
    "gen negative": with_claims(gen=-1),
    "gen a string": with_claims(gen="3"),
    "gen a bool": with_claims(gen=True),
    "gen huge": with_claims(gen=2**63),
    "exp over": with_claims(exp=int(NOW.timestamp())),
    "exp long over": with_claims(exp=1),
    "exp negative": with_claims(exp=-1),
    "exp beyond any life we give": with_claims(exp=int((NOW + LIFETIME).timestamp()) + 61),
    "exp a string": with_claims(exp=str(CLAIMS["exp"])),
    "exp a float": with_claims(exp=float(CLAIMS["exp"])),
    "exp a bool": with_claims(exp=True),
    "exp null": with_claims(exp=None),
    "exp NaN": with_raw("exp", "NaN"),
    "exp Infinity": with_raw("exp", "Infinity"),
    "exp 1e400": with_raw("exp", "1e400"),
    "exp 10**400": with_raw("exp", f"1{'0' * 400}"),
    "exp of 2,500 digits": with_raw("exp", "9" * 2500),
    "iat in the future": with_claims(iat=int(NOW.timestamp()) + 61),
    "iat a float": with_claims(iat=float(CLAIMS["iat"])),
    "iat a string": with_claims(iat=str(CLAIMS["iat"])),
    "a refresh token": REFRESH.first(SESSION),
    "an API token": tokens.new_token("dbl_"),
}


def test_the_hand_made_token_would_be_accepted() -> None:
    assert ACCESS.read(signed(HEADER, CLAIMS), NOW) == CLAIMED


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_token_is_refused(token: str) -> None:
    assert ACCESS.read(token, NOW) is None


def payload_by_pyjwt(token: str) -> bytes | None:
    """What PyJWT takes for signed by us, among texts of which there is one for each token, with our header."""
    if len(token) > tokens.MAX_TOKEN or not token.startswith(f"{HEADER_PART}."):
        return None
    try:
        payload: bytes = jwt.PyJWS(algorithms=["HS256"]).decode(token, KEY, algorithms=["HS256"])
    except (jwt.InvalidTokenError, UnicodeEncodeError):
        return None
    signature = token.rpartition(".")[2]
    return payload if encoded(base64.urlsafe_b64decode(f"{signature}=")) == signature else None


@pytest.mark.parametrize("token", [VALID, *HOSTILE.values()], ids=["valid", *HOSTILE])
def test_a_signature_is_good_if_pyjwt_finds_it_good(token: str) -> None:
    assert ACCESS.payload(token) == payload_by_pyjwt(token)


def test_pyjwt_reads_what_is_issued() -> None:
    read = jwt.decode_complete(VALID, KEY, algorithms=["HS256"], options={"verify_exp": False, "verify_aud": False})
    assert read["header"] == HEADER
    assert read["payload"] == json.loads(base64.urlsafe_b64decode(f"{PAYLOAD_PART}=="))


def test_there_are_as_many_hostile_tokens_as_were_written() -> None:
    assert len(set(HOSTILE.values())) == len(HOSTILE) > 35


def test_a_token_says_what_it_was_issued_for() -> None:
    assert ACCESS.read(VALID, NOW) == CLAIMED
    assert len(VALID) < 500


def test_no_two_tokens_are_equal() -> None:
    assert ACCESS.issue(USER, SESSION, 3, NOW) != VALID


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-61, False), (-59, True), (0, True), (1799, True), (1800, False), (10**9, False)]
)
def test_a_token_lives_from_its_issue_to_its_end(seconds: int, *, accepted: bool) -> None:
    assert (ACCESS.read(VALID, NOW + timedelta(seconds=seconds)) is not None) is accepted


def test_tokens_of_the_key_before_stay_good_and_none_is_made_with_it() -> None:
    old = AccessTokens(OLD_KEY, None, issuer=ISSUER, lifetime=LIFETIME)
    both = AccessTokens(KEY, OLD_KEY, issuer=ISSUER, lifetime=LIFETIME)
    assert both.read(old.issue(USER, SESSION, 3, NOW), NOW) is not None
    assert ACCESS.read(old.issue(USER, SESSION, 3, NOW), NOW) is None
    assert ACCESS.read(both.issue(USER, SESSION, 3, NOW), NOW) is not None


def test_a_huge_token_costs_nothing() -> None:
    huge = VALID + "a" * 50_000_000
    before = time.process_time()
    assert ACCESS.read(huge, NOW) is None
    assert time.process_time() - before < 0.1


@settings(deadline=None)
@given(st.text() | st.text("abcXYZ019-_=."))
def test_no_text_is_a_token(text: str) -> None:
    assert ACCESS.read(text, NOW) is None
    assert REFRESH.session_of(text) is None
    assert REFRESH.session_of(f"dbr_{text}") is None
    assert len(tokens.digest(text)) == 32


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=64))
def test_no_bytes_are_a_token(header: bytes, payload: bytes, signature: bytes) -> None:
    assert ACCESS.read(".".join(map(encoded, (header, payload, signature))), NOW) is None
    assert ACCESS.read(f"{HEADER_PART}.{encoded(payload)}.{encoded(signature)}", NOW) is None
    assert REFRESH.session_of(f"dbr_{encoded(header)}") is None


JSON: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({})
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "x"]), JSON, min_size=1))
def test_no_signed_claims_make_reading_raise(claims: dict[str, Any]) -> None:
    read = ACCESS.read(with_claims(**claims), NOW)
    assert read is None or (read.user_id == USER and read.session_id == SESSION)


FIRST = REFRESH.first(SESSION)


@settings(deadline=None)
@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    original, read = data.draw(
        st.sampled_from([(VALID, lambda token: ACCESS.read(token, NOW)), (FIRST, REFRESH.session_of)])
    )
    at = data.draw(st.integers(0, len(original)))
    until = data.draw(st.integers(at, len(original)))
    changed = original[:at] + data.draw(st.text("AQgw-_.=\n", max_size=4)) + original[until:]
    assert read(original) is not None
    assert changed == original or read(changed) is None
    assert ACCESS.payload(changed) == payload_by_pyjwt(changed)


@pytest.mark.parametrize("token", [VALID, FIRST], ids=["access", "refresh"])
def test_no_single_character_can_be_another(token: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(len(token) - 3, len(token)):
        for character in alphabet.replace(token[at], ""):
            changed = token[:at] + character + token[at + 1 :]
            assert ACCESS.read(changed, NOW) is None
            assert REFRESH.session_of(changed) is None


# Refresh tokens


def test_a_refresh_token_names_its_session() -> None:
    assert FIRST.startswith("dbr_")
    assert len(FIRST) == 79
    assert REFRESH.session_of(FIRST) == SESSION
    assert REFRESH.first(SESSION) != FIRST


def test_a_successor_can_be_made_again() -> None:
    successor = REFRESH.successor(FIRST, b"salt")
    assert successor == RefreshTokens(KEY, None).successor(FIRST, b"salt")
    assert REFRESH.session_of(successor) == SESSION
    assert len({FIRST, successor, REFRESH.successor(FIRST, b"other"), REFRESH.successor(successor, b"salt")}) == 4


def test_a_successor_cannot_be_made_without_its_parent() -> None:
    """The database has the salt and the parent's digest; the server's key does not help either."""
    stored = tokens.digest(FIRST)
    guess = SESSION.bytes + hmac.digest(stored, b"salt", "sha256")
    assert encoded(guess) not in REFRESH.successor(FIRST, b"salt")


@pytest.mark.parametrize(
    "presented",
    ["", "dbr_", "dbr_x", VALID, RefreshTokens(b"x" * 32, None).first(SESSION)],
    ids=["nothing", "prefix", "short", "access token", "of another server"],
)
def test_only_a_token_of_ours_has_a_successor(presented: str) -> None:
    with pytest.raises(ValueError, match="successor"):
        REFRESH.successor(presented, b"salt")


def test_nobody_can_invent_a_token_for_a_session() -> None:
    for tag in (b"", b"\x00" * 8, hashlib.sha256(SESSION.bytes + b"x" * 32).digest()[:8]):
        assert REFRESH.session_of(f"dbr_{encoded(SESSION.bytes + b'x' * 32 + tag)}") is None


def test_a_token_cannot_be_moved_to_another_session() -> None:
    raw = base64.urlsafe_b64decode(FIRST[4:] + "=")
    assert REFRESH.session_of(f"dbr_{encoded(USER.bytes + raw[16:])}") is None


@pytest.mark.parametrize("prefix", ["", "dbl_", "dbm_", "DBR_", "dbr-", " dbr_"])
def test_another_prefix_is_refused(prefix: str) -> None:
    assert REFRESH.session_of(prefix + FIRST[4:]) is None


def test_refresh_tokens_of_the_key_before_stay_good() -> None:
    old, both = RefreshTokens(OLD_KEY, None), RefreshTokens(KEY, OLD_KEY)
    token = old.first(SESSION)
    assert both.session_of(token) == SESSION
    assert REFRESH.session_of(token) is None
    assert REFRESH.session_of(both.successor(token, b"salt")) == SESSION


def test_a_successor_made_again_under_a_new_key_is_the_one_that_is_stored() -> None:
    old, both = RefreshTokens(OLD_KEY, None), RefreshTokens(KEY, OLD_KEY)
    token = old.first(SESSION)
    before, after = old.successor(token, b"salt"), both.successor(token, b"salt")
    assert before != after
    assert tokens.digest(before) == tokens.digest(after)


# Opaque tokens


def test_a_digest_tells_tokens_apart_and_shows_none() -> None:
    one, other = tokens.new_token("dbl_"), tokens.new_token("dbl_")
    assert one != other
    assert one.startswith("dbl_")
    assert len(one) == 4 + 43
    assert tokens.digest(one) == hashlib.sha256(one.encode()).digest()
    assert len({tokens.digest(token) for token in (one, other, FIRST, REFRESH.first(SESSION))}) == 4
