from collections.abc import Callable
from typing import Any

import pytest

from hypercore import crypto
from hypercore.errors import DecodeError, LocalProtocolError


def test_namespaces_ids_and_hashes_equal_the_golden_ones(vectors: Callable[[str], Any]) -> None:
    golden = vectors("00_constants")
    names = ["TREE", "INITIATOR", "RESPONDER", "MANIFEST", "SIGNER", "ENCRYPTION"]
    ours = [getattr(crypto, f"NAMESPACE_{name}").hex() for name in names]
    assert ours == list(golden["hypercore"].values())
    streams = [crypto.namespace("hyperswarm/secret-stream", number).hex() for number in range(3)]
    assert streams == list(golden["secret_stream"].values())
    assert crypto.namespace("corestore", 0).hex() == golden["corestore"]["NS"]
    assert crypto.namespace("hyperdrive", 0).hex() == golden["hyperdrive"]["BLOBS"]
    key = bytes.fromhex(golden["discovery_key"]["key"])
    assert crypto.discovery_key(key).hex() == golden["discovery_key"]["discoveryKey"]
    assert crypto.z32_encode(key) == golden["z32_id"]["id"]
    assert crypto.leaf_hash(b"").hex() == golden["hash"]['data("")']
    assert crypto.leaf_hash(b"hello").hex() == golden["hash"]['data("hello")']


def test_a_seed_gives_the_golden_key_pair(vectors: Callable[[str], Any]) -> None:
    golden = vectors("00_constants")["keypair_from_seed"]
    pair = crypto.KeyPair.from_seed(bytes.fromhex(golden["seed"]))
    assert (pair.public_key.hex(), pair.secret.hex()) == (golden["publicKey"], golden["secretKey"])
    assert pair.seed.hex() == golden["seed"]


def test_a_printed_key_pair_shows_no_secret(key_pair: crypto.KeyPair) -> None:
    assert repr(key_pair.secret) not in repr(key_pair)
    assert "secret" not in repr(key_pair)


def test_all_written_forms_of_a_key_mean_the_same() -> None:
    key = bytes(range(32))
    z32 = crypto.z32_encode(key)
    for form in (key, key.hex(), key.hex().upper(), z32, f"pear://{z32}", f"hyper://{z32}/index.html", f" {z32}\n"):
        assert crypto.parse_key(form) == key


@pytest.mark.parametrize(
    "form",
    [
        b"",
        bytes(31),
        bytes(33),
        "",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "l" * 52,
        "y" * 51,
        "y" * 51 + "b",
        "http://" + "y" * 52,
    ],
)
def test_other_forms_of_a_key_are_refused(form: bytes | str) -> None:
    with pytest.raises(DecodeError):
        crypto.parse_key(form)


def test_a_signature_counts_only_for_its_message_and_key(key_pair: crypto.KeyPair) -> None:
    other = crypto.KeyPair.from_seed(bytes(32))
    signature = key_pair.sign(b"message")
    assert crypto.verify(b"message", signature, key_pair.public_key)
    assert not crypto.verify(b"massage", signature, key_pair.public_key)
    assert not crypto.verify(b"message", signature, other.public_key)
    assert not crypto.verify(b"message", signature[:-1], key_pair.public_key)
    assert not crypto.verify(b"message", b"", key_pair.public_key)
    assert not crypto.verify(b"message", signature, key_pair.public_key[:-1])


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_size_is_refused(seed: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        crypto.KeyPair.from_seed(seed)
