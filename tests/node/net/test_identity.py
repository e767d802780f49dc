from __future__ import annotations

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.net.identity import InvalidPeerId, noise_key_of, peer_id_of


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_and_noise_key_are_the_same_information(key: bytes) -> None:
    assert noise_key_of(peer_id_of(key)) == key


def test_peer_ids_are_those_of_libp2p() -> None:
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.id import ID

    public_key = create_new_key_pair(bytes(range(32))).public_key
    assert peer_id_of(public_key.to_bytes()) == str(ID.from_pubkey(public_key))
    assert peer_id_of(public_key.to_bytes()).startswith("12D3KooW")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_noise_key_of_another_length_has_no_peer_id(length: int) -> None:
    with pytest.raises(InvalidPeerId, match="32 bytes"):
        peer_id_of(bytes(length))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0OIl",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        peer_id_of(bytes(32))[:-1],
        peer_id_of(bytes(32)) + "1",
        base58.b58encode(bytes.fromhex("0024080212 20".replace(" ", "")) + bytes(32)).decode(),
    ],
)
def test_what_is_not_the_peer_id_of_an_ed25519_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidPeerId):
        noise_key_of(text)
