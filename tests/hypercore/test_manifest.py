from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercore import crypto, merkle
from hypercore.errors import DecodeError, InvalidSignature, LocalProtocolError
from hypercore.manifest import Manifest, MultiSignature, PartialSignature, Prologue, Signer, Verifier, verifier_for
from hypercore.merkle import Node


def from_json(value: dict[str, Any]) -> Manifest:
    prologue, linked, user_data = value["prologue"], value["linked"], value["userData"]
    return Manifest(
        version=value["version"],
        quorum=value["quorum"],
        signers=tuple(
            Signer(bytes.fromhex(item["publicKey"]), bytes.fromhex(item["namespace"])) for item in value["signers"]
        ),
        allow_patch=value["allowPatch"],
        prologue=prologue and Prologue(bytes.fromhex(prologue["hash"]), prologue["length"]),
        linked=None if linked is None else tuple(map(bytes.fromhex, linked)),
        user_data=None if user_data is None else bytes.fromhex(user_data),
    )


def roots_of(blocks: list[bytes]) -> list[Node]:
    return merkle.append_batch((), blocks).roots


def test_manifests_encode_decode_and_hash_like_the_golden_ones(vectors: Callable[[str], Any]) -> None:
    for case in vectors("04_manifests")["manifests"]:
        manifest = from_json(case["manifest"])
        assert manifest.encode().hex() == case["bytes"], case["name"]
        assert Manifest.decode(bytes.fromhex(case["bytes"])) == manifest
        assert manifest.key().hex() == case["hash"]
        assert crypto.discovery_key(manifest.key()).hex() == case["discoveryKey"]


def test_every_cut_or_lengthened_manifest_is_refused(vectors: Callable[[str], Any]) -> None:
    for case in vectors("04_manifests")["manifests"]:
        data = bytes.fromhex(case["bytes"])
        for size in range(len(data)):
            with pytest.raises(DecodeError):
                Manifest.decode(data[:size])
        with pytest.raises(DecodeError):
            Manifest.decode(data + b"\x00")


@pytest.mark.parametrize(
    "data",
    [
        "03",
        "010001",
        "000003",
        "0001",
        "01100000" + "00",
        "0100000100",
        "01040000" + "00" + "00",
        "01080000" + "00" + "00",
        "01fd0000000000",
        "010000fe00001000",
    ],
)
def test_unknown_unreachable_or_non_canonical_manifests_are_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        Manifest.decode(bytes.fromhex(data))


def test_create_chooses_version_and_quorum(key_pair: crypto.KeyPair) -> None:
    signers = [Signer(key_pair.public_key), Signer(bytes(32)), Signer(b"\x01" * 32)]
    assert Manifest.create(signers).quorum == 2
    assert Manifest.create(signers).version == 1
    assert Manifest.create(signers[:1]) == Manifest.default(key_pair.public_key)
    assert Manifest.create(signers, user_data=b"x").version == 2
    assert Manifest.create(signers, linked=[bytes(32)]).version == 2
    with pytest.raises(LocalProtocolError, match="never be reached"):
        Manifest.create(signers, quorum=4)


def test_assembled_signatures_get_the_golden_verdict(vectors: Callable[[str], Any]) -> None:
    context, *cases = vectors("05_multisig")
    blocks = [bytes.fromhex(block) for block in context["blocks"]]
    manifest = from_json(context["manifest"])
    verifier = verifier_for(bytes.fromhex(context["key"]), manifest)
    roots = roots_of(blocks)
    tree_hash = merkle.tree_hash(roots)
    assert verifier.signable(tree_hash, context["length"], context["fork"]).hex() == context["signable"]
    for case in cases:
        if "manifest" in case:
            manifest = from_json(case["manifest"])
            verifier = verifier_for(bytes.fromhex(case["key"]), manifest)
            roots = roots_of(blocks[: case["length"]])
        signature = bytes.fromhex(case["bytes"])
        container = MultiSignature.decode(signature)
        assert container.encode() == signature
        assert [part.patch for part in container.proofs] == [part["patch"] for part in case["decoded"]["proofs"]]
        assert verifier.verify(roots, 0, signature) == case["valid"], case["name"]


def test_a_patched_signature_needs_allow_patch_and_all_of_its_nodes(vectors: Callable[[str], Any]) -> None:
    context, *_, case = vectors("05_multisig")
    roots = roots_of([bytes.fromhex(block) for block in context["blocks"]][: case["length"]])
    manifest = from_json(case["manifest"])
    container = MultiSignature.decode(bytes.fromhex(case["bytes"]))
    strict = Manifest(1, manifest.quorum, manifest.signers, allow_patch=False)
    assert not Verifier(manifest.key(), strict, compat=False).verify(roots, 0, container.encode())
    verifier = verifier_for(manifest.key(), manifest)
    for missing in range(len(container.nodes)):
        nodes = container.nodes[:missing] + container.nodes[missing + 1 :]
        assert not verifier.verify(roots, 0, MultiSignature(container.proofs, nodes).encode())
    far = tuple(PartialSignature(part.signer, part.signature, 2**52) for part in container.proofs)
    assert not verifier.verify(roots, 0, MultiSignature(far, container.nodes).encode())


@pytest.mark.parametrize("data", ["", "00", "01", "ff", "0100", "00" * 64])
def test_what_is_no_signature_container_does_not_verify(data: str, key_pair: crypto.KeyPair) -> None:
    manifest = Manifest.default(key_pair.public_key)
    verifier = verifier_for(manifest.key(), manifest)
    assert not verifier.verify(roots_of([b"a"]), 0, bytes.fromhex(data))


def test_a_manifest_counts_only_for_its_own_key(key_pair: crypto.KeyPair) -> None:
    manifest = Manifest.default(key_pair.public_key)
    assert not verifier_for(manifest.key(), manifest).compat
    assert verifier_for(key_pair.public_key, manifest).compat
    assert verifier_for(key_pair.public_key, None).compat
    with pytest.raises(InvalidSignature):
        verifier_for(bytes(32), manifest)


@pytest.mark.parametrize("compat", [True, False])
def test_a_signature_covers_tree_length_and_fork(compat: bool, key_pair: crypto.KeyPair) -> None:
    manifest = Manifest.default(key_pair.public_key)
    verifier = verifier_for(key_pair.public_key, None) if compat else verifier_for(manifest.key(), manifest)
    roots = roots_of([b"a", b"b", b"c"])
    signature = verifier.sign(roots, 7, key_pair)
    assert len(signature) == (64 if compat else 68)
    assert verifier.verify(roots, 7, signature)
    assert not verifier.verify(roots, 8, signature)
    assert not verifier.verify(roots[:1], 7, signature)
    assert not verifier.verify(roots_of([b"a", b"b", b"d"]), 7, signature)
    # Without allow_patch the patch number (the last but one byte of a container) has no meaning.
    for position in set(range(len(signature))) - (set() if compat else {66}):
        broken = bytearray(signature)
        broken[position] ^= 1
        assert not verifier.verify(roots, 7, bytes(broken))


def test_a_key_that_is_no_signer_cannot_sign(key_pair: crypto.KeyPair) -> None:
    verifier = verifier_for(key_pair.public_key, None)
    with pytest.raises(LocalProtocolError, match="not a signer"):
        verifier.sign(roots_of([b"a"]), 0, crypto.KeyPair.from_seed(bytes(32)))


def test_a_prologue_replaces_signatures_up_to_its_length(key_pair: crypto.KeyPair) -> None:
    roots = roots_of([b"a", b"b"])
    manifest = Manifest.create([Signer(key_pair.public_key)], prologue=Prologue(merkle.tree_hash(roots), 2))
    verifier = verifier_for(manifest.key(), manifest)
    assert verifier.verify(roots, 0, b"")
    assert not verifier.verify(roots_of([b"a", b"c"]), 0, b"")
    assert not verifier.verify(roots_of([b"a"]), 0, verifier.sign(roots_of([b"a"]), 0, key_pair))
    longer = roots_of([b"a", b"b", b"c"])
    assert not verifier.verify(longer, 0, b"")
    assert verifier.verify(longer, 0, verifier.sign(longer, 0, key_pair))


@given(st.binary(max_size=120))
def test_random_bytes_are_a_canonical_manifest_or_refused(data: bytes) -> None:
    try:
        manifest = Manifest.decode(data)
    except DecodeError:
        return
    assert manifest.encode() == data
