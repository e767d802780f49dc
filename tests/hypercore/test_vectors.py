"""Sections of the vectors that the tests by subject leave out, and that no section of any vector is left unread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hypercore import crypto, merkle
from hypercore.drive import DriveEntry
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.manifest import Manifest, MultiSignature, verifier_for
from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest
from hypercore.replicate_peer import capability

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120

UNREAD = {
    "*.note": "text",
    "*.rule": "text",
    "*Rule": "text",
    "*.name": "text",
    "*.description": "text",
    "*].n": "a running number",
    "*.json[[]].*": "read through the decoder of JSON, which is not ours",
    "*.manifest*.hash": "always blake2b, and part of the encoded bytes, which are compared",
    "*anifest.*": "the decoded form of manifests whose bytes are compared",
    "09_wire_messages.messages[[]].decoded.*": "what JavaScript reads back from the bytes; equal to `fields`",
    "09_wire_messages.messages[[]].fields.manifest.*": "a default manifest, rebuilt from its public key",
    "02_flat_tree.patch*": "lists of an algorithm that we do not use: growth goes through `flat_tree.cover`",
    "02_flat_tree.iterator_fullRoot": "empty",
    "*.transport.*": "keys that follow from the seeds in 10_noise; the raw bytes made with them are compared",
    "13_*.messages[[]].decoded*": "the decoded form of `hex`, whose every message is decoded and encoded again",
    "13_*.key": "of the writer with the seed of all vectors, compared by the reader's first proof",
    "13_*.get*": "a wait that ends without a block",
    "13_*.compatAtReader": "compared with the manifest by the session's reader",
    "13_*.lenAfterAppend": "a moment of the session; its end is compared",
    "03_*.secretKey": "seed and public key together, both compared",
    "03_*.seed": "the seed of all vectors",
    "03_*.publicKey": "compared in 00_constants",
    "08_*.publicKey": "compared in 00_constants",
    "06_*.verify": "always true; every proof is applied",
    "06_*.proof.*": "the decoded form of `dataHex`, and where that is missing compared by value below",
    "06_*.error": "the text of JavaScript's error; ours has its own",
    "05_*.error": "the text of JavaScript's error; ours has its own",
    "05_*.sigs*": "in the assembled bytes",
    "10_noise.cases[[]].*Key": "halves of key pairs made from seeds",
    "10_noise.cases[[]].protocolName": "hashed into `h0`",
    "10_noise.cases[[]].ck0": "equal to `protocolName`, padded",
    "14_*.storage": "nothing",
    "14_*.padding": "8, as the bytes show",
    "16_*.header.*": "decoded form of the first block",
    "16_*.key*": "in the bytes of the block",
    "17_*.header.*": "decoded form of the first block",
    "17_*.index*": "in the bytes of the block",
    "17_*.key*": "in the bytes of the block",
    "17_*.dedup.decoded.hashes": "always null",
}
"""Sections that no test reads, as patterns, and why that is all right."""


def as_json(nodes: Any) -> list[dict[str, Any]]:
    return [{"index": node.index, "size": node.size, "hash": node.hash.hex()} for node in nodes]


def test_every_section_of_the_vectors_is_read_by_a_test(tmp_path: Path) -> None:
    report = tmp_path / "unread"
    command = ["-m", "pytest", "-q", "-p", "tests.hypercore.vector_use", "--vector-use", report]
    result = subprocess.run(
        [sys.executable, *map(str, command), "tests/hypercore"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    unread = report.read_text().split("\n")[:-1]
    assert [path for path in unread if not any(fnmatchcase(path, pattern) for pattern in UNREAD)] == []
    assert [pattern for pattern in UNREAD if not any(fnmatchcase(path, pattern) for path in unread)] == []


def test_hashes_and_ids_of_constants(vectors: Callable[[str], Any]) -> None:
    golden = vectors("00_constants")
    assert crypto.hash_bytes(b"").hex() == golden["hash"]['crypto.hash("")']
    assert crypto.z32_encode(bytes.fromhex(golden["z32_id"]["key"])) == golden["z32_id"]["id"]


def test_ids_keys_and_all_nodes_of_signed_heads(vectors: Callable[[str], Any], content: Any) -> None:
    for case in vectors("03_merkle_signed_heads")["cases"]:
        key = bytes.fromhex(case["key"])
        assert crypto.discovery_key(key).hex() == case["discoveryKey"]
        assert crypto.z32_encode(key) == case["id"]
        if case["ed25519"]:
            assert case["ed25519"] in case["signature"]
        if "nodesDigest" in case:
            growth = merkle.append_batch((), [content(case["kind"], index) for index in range(case["length"])])
            nodes = {node.index: node for node in growth.nodes}
            ordered = [nodes[index] for index in sorted(nodes)]
            assert len(ordered) == case["nodesDigest"]["count"]
            together = b"".join(node.hash for node in ordered)
            assert crypto.hash_bytes(together).hex() == case["nodesDigest"]["blake2b256OfConcat"]
            assert as_json(nodes[node["index"]] for node in case["sampleNodes"]) == case["sampleNodes"]


def test_a_clone_has_the_golden_state_after_each_proof(
    vectors: Callable[[str], Any], content: Any, key_pair: crypto.KeyPair
) -> None:
    for case in vectors("06_proofs")["cases"]:
        for after in [step["cloneAfter"] for step in case["steps"] if "roots" in step.get("cloneAfter", {})]:
            source = Core.create(key_pair=key_pair)
            assert case.get("key", source.key.hex()) == source.key.hex()
            source.append([content(case["kind"], index) for index in range(after["length"])])
            clone = Core.open(key=source.key)
            if after["length"]:
                clone.apply(source.proof(everything(after["length"])))
            assert as_json(clone.view().roots) == after["roots"]
            assert (clone.byte_length, clone.fork) == (after["byteLength"], after["fork"])


def everything(length: int) -> ProofRequest:
    return ProofRequest(upgrade=UpgradeRequest(0, length), manifest=True)


def test_proofs_of_large_blocks_equal_the_decoded_golden_ones(
    vectors: Callable[[str], Any], content: Any, key_pair: crypto.KeyPair
) -> None:
    compared = 0
    for case in vectors("06_proofs")["cases"]:
        source = Core.create(key_pair=key_pair)
        for step in case["steps"]:
            if "dataHex" in step or "error" in step or "proof" not in step:
                continue
            wanted = case.get("length", step.get("sourceLength", source.length))
            source.append([content(case["kind"], index) for index in range(source.length, wanted)])
            asked, golden = step["request"], step["proof"]
            growth = asked.get("upgrade") and UpgradeRequest(**asked["upgrade"])
            proof = source.proof(
                ProofRequest(0, BlockRequest(**asked["block"]), upgrade=growth, manifest=bool(asked.get("manifest")))
            )
            assert proof.block is not None
            assert as_json(proof.block.nodes) == golden["block"]["nodes"]
            if golden["upgrade"]:
                assert proof.upgrade is not None
                assert as_json(proof.upgrade.nodes) == golden["upgrade"]["nodes"]
                assert proof.upgrade.signature.hex() == golden["upgrade"]["signature"]
            compared += 1
    assert compared > 0


def test_what_is_signed_after_a_truncation(vectors: Callable[[str], Any], key_pair: crypto.KeyPair) -> None:
    verifier = verifier_for(Manifest.default(key_pair.public_key).key(), Manifest.default(key_pair.public_key))
    for step in vectors("08_truncate_fork")["steps"]:
        signable = verifier.signable(bytes.fromhex(step["treeHash"]), step["length"], step["fork"])
        assert signable.hex() == step["signable"]


def test_capabilities_and_transport_keys(vectors: Callable[[str], Any]) -> None:
    for case in vectors("10_noise")["cases"]:
        golden = case["capability"]
        key, handshake_hash = bytes.fromhex(golden["key"]), bytes.fromhex(case["handshakeHash"])
        assert capability(key, handshake_hash, of_initiator=True).hex() == golden["initiator"]
        assert capability(key, handshake_hash, of_initiator=False).hex() == golden["responder"]
        assert (case["responderRx"], case["responderTx"]) == (case["initiatorTx"], case["initiatorRx"])
        for name in ("staticI", "staticR", "ephemeralI", "ephemeralR"):
            pair = crypto.KeyPair.from_seed(bytes.fromhex(case["seeds"][name]))
            assert pair.public_key.hex() == case[name]["publicKey"]


def test_frames_are_a_length_and_the_ciphertext(vectors: Callable[[str], Any]) -> None:
    for frame in vectors("11_secretstream")["frames"]:
        cipher = bytes.fromhex(frame["cipher"])
        assert frame["framed"] == len(cipher).to_bytes(3, "little").hex() + frame["cipher"]


def test_signatures_of_several_signers_decode_to_the_golden_parts(vectors: Callable[[str], Any]) -> None:
    context, *cases = vectors("05_multisig")
    assert Manifest.decode(bytes.fromhex(context["manifestBytes"])).key().hex() == context["key"]
    assert context["treeHash"] in context["signable"]
    for case in cases:
        if "decoded" not in case:
            continue
        decoded = MultiSignature.decode(bytes.fromhex(case["bytes"]), 1)
        shown = [
            {"signer": part.signer, "signature": part.signature.hex(), "patch": part.patch} for part in decoded.proofs
        ]
        assert shown == case["decoded"]["proofs"]
        assert as_json(decoded.nodes) == case["decoded"]["patch"]


def test_namespaces_of_a_corestore(vectors: Callable[[str], Any]) -> None:
    vector = vectors("15_corestore")
    for case in vector["cores"]:
        space: Any = Corestore(None, bytes.fromhex(vector["primaryKey"]))
        for name in case["namespacePath"]:
            space = space.namespace(name)
        assert space._namespace.hex() == case["namespace"]


async def test_an_encrypted_core_describes_itself_as_javascript_does(
    vectors: Callable[[str], Any], key_pair: crypto.KeyPair
) -> None:
    for case in vectors("14_block_encryption"):
        core = Core.create(key_pair=key_pair, compat=case["compat"])
        core.append([bytes.fromhex(block) for block in case["rawBlocks"][:2]])
        if case["fork"]:
            core.truncate(2, case["fork"])
        core.append(bytes.fromhex(case["rawBlocks"][2]))
        golden = case["info"]
        assert (core.key.hex(), core.discovery_key.hex()) == (golden["key"], golden["discoveryKey"])
        assert (core.length, core.contiguous_length) == (golden["length"], golden["contiguousLength"])
        assert core.fork == golden["fork"]


def test_entries_and_contents_of_a_drive(vectors: Callable[[str], Any]) -> None:
    vector = vectors("17_hyperdrive")
    for golden in [*[entry["value"] for entry in vector["entries"]], vector["dedup"]["entry"]]:
        entry = DriveEntry.decode(json.dumps(golden, separators=(",", ":")).encode())
        assert (entry.executable, entry.linkname, entry.metadata) == (
            golden["executable"],
            golden["linkname"],
            golden["metadata"],
        )
        blob = golden["blob"]
        assert (entry.blob is None) is (blob is None)
        if entry.blob is not None:
            assert entry.blob.block_offset == blob["blockOffset"]
            assert entry.blob.block_length == blob["blockLength"]
            assert (entry.blob.byte_offset, entry.blob.byte_length) == (blob["byteOffset"], blob["byteLength"])
    stored = {block["seq"]: block["value"] for block in vector["metadataBlocks"][1:]}
    assert all(entry["seq"] in stored for entry in vector["entries"])
    for block in vector["blobBlocks"]:
        if block.get("hex"):
            content = bytes.fromhex(block["hex"])
            assert (crypto.hash_bytes(content).hex(), len(content)) == (block["hash"], block["byteLength"])
