"""Each check of an ID token, each with the token that only this check refuses."""

import hmac
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws

from service.access.key_set import read_key_set
from service.access.providers import Provider, firebase
from service.access.token_reader import MAX_TOKEN_BYTES, SKEW_S, Claims, TokenReader
from service.errors import WrongToken
from tests.service.access.issuer import (
    AUDIENCE,
    HOUR_S,
    ISSUER,
    claims_of,
    ec_key,
    public_key_set,
    rsa_key,
    segment,
    signed,
    unsigned,
)

NOW = 1_800_000_000.0
READER = TokenReader(Provider(ISSUER, (AUDIENCE, "shop-app")))
KEYS = read_key_set(public_key_set(rsa_key(), ec_key()))


def read(token: str, *, now: float = NOW, reader: TokenReader = READER) -> Claims:
    unverified = reader.parse(token.encode())
    return reader.claims(unverified, KEYS.get(unverified.key_id), now)


def claims(**more: Any) -> Claims:
    return claims_of(now=NOW, **more)


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_a_good_token_is_read(key: Any) -> None:
    assert read(signed(claims(role="clerk"), key))["role"] == "clerk"


@pytest.mark.parametrize("audience", ["shop", "shop-app", ["other", "shop"]])
def test_one_of_several_audiences_is_enough(audience: Any) -> None:
    assert read(signed(claims(aud=audience)))["sub"] == "ann"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"iss": "https://login.example.evil"}, "the token is from another issuer"),
        ({"iss": None}, "the token lacks iss"),
        ({"iss": [ISSUER]}, "the token is from another issuer"),
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": ["other"]}, "the token is for another audience"),
        ({"aud": None}, "the token lacks aud"),
        ({"aud": {"shop": 1}}, "the token is for another audience"),
        ({"sub": ""}, "the token has no subject"),
        ({"sub": None}, "the token lacks sub"),
        ({"sub": 7}, "the token has no subject"),
        ({"exp": None}, "the token lacks exp"),
        ({"exp": "2100-01-01"}, "the token's expiry is no number"),
        ({"exp": True}, "the token's expiry is no number"),
        ({"exp": float("nan")}, "it is no ID token"),
        ({"nbf": float("-inf")}, "it is no ID token"),
        ({"exp": NOW - SKEW_S}, "the token has expired"),
        ({"nbf": NOW + SKEW_S + 1}, "the token is not valid yet"),
        ({"iat": NOW + SKEW_S + 1}, "the token was issued in the future"),
    ],
)
def test_what_a_token_claims_is_checked(wrong: Claims, fault: str) -> None:
    with pytest.raises(WrongToken, match=f"^{fault}$"):
        read(signed(claims(**wrong)))


@pytest.mark.parametrize(
    "skewed", [{"exp": NOW - SKEW_S + 1}, {"nbf": NOW + SKEW_S}, {"iat": NOW + SKEW_S}, {"nbf": None, "iat": None}]
)
def test_clocks_can_be_a_minute_apart(skewed: Claims) -> None:
    assert read(signed(claims(**skewed)))["sub"] == "ann"


def test_a_token_expires_while_it_is_in_use() -> None:
    token = signed(claims())
    assert read(token, now=NOW + HOUR_S)
    with pytest.raises(WrongToken, match="has expired"):
        read(token, now=NOW + HOUR_S + SKEW_S)


def test_a_signature_of_another_key_is_wrong() -> None:
    for own in (rsa_key("rsa-2"), ec_key("ec-2")):
        with pytest.raises(WrongToken, match="signature is wrong"):
            read(signed(claims(), own, kid=f"{own['kty']}-1".lower()))


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, signature = signed(claims()).split(".")
    with pytest.raises(WrongToken, match="signature is wrong"):
        read(f"{head}.{segment(claims(sub='bob'))}.{signature}")


@pytest.mark.parametrize("ending", ["", "AAAA", "!"])
def test_a_token_whose_signature_is_cut_off_is_refused(ending: str) -> None:
    unfinished = signed(claims()).rpartition(".")[0]
    with pytest.raises(WrongToken):
        read(f"{unfinished}.{ending}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_no_other_algorithm_is_taken_even_with_the_right_key(algorithm: str) -> None:
    with pytest.raises(WrongToken, match="not signed with RS256 or ES256"):
        read(signed(claims(), alg=algorithm))


def test_an_unsigned_token_is_refused() -> None:
    for header in ({}, {"kid": "rsa-1"}, {"alg": "None", "kid": "rsa-1"}, {"alg": "NONE", "kid": "rsa-1"}):
        with pytest.raises(WrongToken, match="not signed with"):
            read(unsigned(claims(), **header))


def test_the_public_key_is_no_secret_for_hs256() -> None:
    for public in (rsa_key().as_pem(private=False), public_key_set(rsa_key())):
        signing_input = f"{segment({'alg': 'HS256', 'kid': 'rsa-1'})}.{segment(claims())}"
        mac = hmac.digest(public, signing_input.encode(), "sha256")  # joserfc refuses to sign with a public key
        with pytest.raises(WrongToken, match="not signed with"):
            read(f"{signing_input}.{segment(mac)}")


def test_a_key_is_used_with_its_own_algorithm_alone() -> None:
    _, payload, signature = signed(claims(), ec_key()).split(".")
    with pytest.raises(WrongToken, match="signature is wrong"):
        read(f"{segment({'alg': 'RS256', 'kid': 'ec-1'})}.{payload}.{signature}")
    with pytest.raises(WrongToken, match="signature is wrong"):
        read(f"{segment({'alg': 'ES256', 'kid': 'rsa-1'})}.{payload}.{signature}")


@pytest.mark.parametrize(
    ("key_id", "fault"),
    [
        ("../../etc/passwd", "a key that its provider does not have"),
        ("https://evil.example/keys", "a key that its provider does not have"),
        (None, "names no key"),
        ("", "names no key"),
        ("k" * 1000, "no ID token"),
        ("k" * 1_000_000, "longer than 8192 bytes"),
    ],
)
def test_a_key_id_is_looked_up_and_nothing_else(key_id: str | None, fault: str) -> None:
    head = segment({"alg": "RS256", "kid": key_id} if key_id is not None else {"alg": "RS256"})
    _, payload, signature = signed(claims()).split(".")
    with pytest.raises(WrongToken, match=fault):
        read(f"{head}.{payload}.{signature}")


def test_a_token_cannot_bring_its_own_key() -> None:
    own = ec_key("mine")
    for header in ({"jwk": own.as_dict(private=False)}, {"jku": "https://evil.example/keys"}):
        with pytest.raises(WrongToken, match="a key that its provider does not have"):
            read(signed(claims(), own, **header))


def test_a_critical_header_that_is_unknown_is_refused() -> None:
    _, payload, signature = signed(claims()).split(".")
    with pytest.raises(WrongToken):
        read(f"{segment({'alg': 'RS256', 'kid': 'rsa-1', 'crit': ['x'], 'x': 1})}.{payload}.{signature}")


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "a key", "e30.e30.e30", "e30.e30.", "\xff.\xff.\xff", "." * 99]
)
def test_what_is_no_token_is_called_so(text: str) -> None:
    with pytest.raises(WrongToken, match=r"^it is no ID token$|not signed with"):
        read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "iss", "aud", "exp", "nbf", "iat", "sub", "jti"])
OBJECTS = st.dictionaries(NAMES, JSON | st.sampled_from(["RS256", "none", "rsa-1"]), max_size=6)
EMULATED = TokenReader(firebase("shop", is_emulator=True))


@settings(max_examples=60)
@given(header=JSON | OBJECTS, payload=JSON | OBJECTS, end=st.binary(max_size=20))
def test_no_header_or_payload_raises_anything_else(header: Any, payload: Any, end: bytes) -> None:
    token = f"{segment(header)}.{segment(payload)}.{segment(end)}"
    with pytest.raises(WrongToken):
        read(token)
    with pytest.raises(WrongToken):
        read(unsigned(payload), reader=EMULATED)


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(WrongToken, match="no ID token"):
        read(unsigned(b"[" * 5000), reader=EMULATED)
    with pytest.raises(WrongToken, match="no ID token"):
        read(f"{segment(b'[' * 5000)}.e30.e30")


def test_the_emulators_tokens_are_taken_in_its_name_alone() -> None:
    good = {**claims(), "iss": "https://securetoken.google.com/shop"}
    assert read(unsigned(good), reader=EMULATED)["sub"] == "ann"
    with pytest.raises(WrongToken, match="not one of the Auth emulator"):
        read(signed(good), reader=EMULATED)
    with pytest.raises(WrongToken, match="not one of the Auth emulator"):
        read(unsigned(good) + "AAAA", reader=EMULATED)
    with pytest.raises(WrongToken, match="another audience"):
        read(unsigned({**good, "aud": "other"}), reader=EMULATED)
    with pytest.raises(WrongToken, match="has expired"):
        read(unsigned(good), reader=EMULATED, now=NOW + 2 * HOUR_S)
    with pytest.raises(WrongToken, match="not signed with"):
        read(unsigned(good), reader=TokenReader(firebase("shop", is_emulator=False)))


def test_no_message_holds_any_part_of_a_token() -> None:
    secret = "s3cret"
    wrong = [
        signed(claims(sub=secret, aud=secret)),
        signed(claims(sub=secret, iss=secret)),
        signed(claims(sub=secret, exp=secret)),
        signed(claims(), alg="RS512", kid=secret),
        unsigned({"sub": secret}, alg=secret),
        f"{secret}.{secret}.{secret}",
    ]
    for token in wrong:
        with pytest.raises(WrongToken) as refused:
            read(token)
        assert secret not in str(refused.value)


def test_the_longest_token_is_read_within_a_millisecond() -> None:
    key = rsa_key("rsa-4096", 4096)
    room = MAX_TOKEN_BYTES - len(signed(claims(filler=""), key)) - 4
    token = signed(claims(filler="x" * (room * 3 // 4)), key).encode()
    assert MAX_TOKEN_BYTES - 16 < len(token) <= MAX_TOKEN_BYTES
    known = read_key_set(public_key_set(key))

    def seconds() -> float:
        begun = time.thread_time()
        unverified = READER.parse(token)
        READER.claims(unverified, known["rsa-4096"], NOW)
        return time.thread_time() - begun

    assert min(seconds() for _ in range(20)) < 0.001


def test_a_good_payload_must_be_an_object() -> None:
    for payload in (b"[]", b"1", b"{", b"\xff", b'{"exp": NaN}'):
        token = jws.serialize_compact({"alg": "RS256", "kid": "rsa-1"}, payload, rsa_key(), ["RS256"])
        with pytest.raises(WrongToken, match="no ID token"):
            read(token)
