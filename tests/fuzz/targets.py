"""What is fuzzed, the seeds of each target, and mutations that need no fuzzer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import decoders, peers

CORPUS = Path(__file__).parent / "corpus"
SEED_BYTES_MAXIMUM = 700
SEEDS_MAXIMUM = 12
INPUT_BYTES_MAXIMUM = 4096

TARGETS: dict[str, Callable[[bytes], None]] = {
    "encoding": decoders.encoding,
    "messages": decoders.messages,
    "protomux": decoders.protomux,
    "secret_stream": decoders.secret_stream,
    "manifests": decoders.manifests,
    "chain_proofs": decoders.chain_proofs,
    "bees_and_drives": decoders.bees_and_drives,
    "store_records": decoders.store_records,
    "proofs": peers.proofs,
    "stores": peers.stores,
    "replication": peers.replication,
}


def corpus(name: str) -> list[bytes]:
    """The committed inputs of a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many inputs made from others by changing, cutting, repeating and joining."""
    chance = Random(seed)
    pool = [b"", *inputs]
    for _ in range(count):
        data = bytearray(chance.choice(pool))
        for _ in range(chance.randint(1, 4)):
            place = chance.randint(0, len(data))
            choice = chance.randrange(7)
            if choice == 0 and data:
                data[place % len(data)] ^= 1 << chance.randrange(8)
            elif choice == 1 and data:
                data[place % len(data)] = chance.choice((0, 1, 0x7F, 0x80, 0xFC, 0xFD, 0xFE, 0xFF))
            elif choice == 2:
                del data[place : place + chance.randint(1, 8)]
            elif choice == 3:
                data[place:place] = chance.randbytes(chance.randint(1, 8))
            elif choice == 4:
                data[place:place] = data[place : place + 16]
            elif choice == 5:
                data[place:] = chance.choice(pool)[place:]
            else:
                data[place:place] = b"\xff" + chance.randbytes(6) + b"\x00\x00"
        yield bytes(data[:INPUT_BYTES_MAXIMUM])


def write_corpus() -> None:
    """Adds seeds made from the vectors to the corpus; needed once, and after a target changed its input format."""
    for name, found in _seeds().items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        usable = sorted({seed for seed in found if len(seed) <= SEED_BYTES_MAXIMUM}, key=lambda seed: (len(seed), seed))
        step = max(1, len(usable) // SEEDS_MAXIMUM)
        for seed in usable[::step][:SEEDS_MAXIMUM]:
            (folder / hashlib.blake2b(seed, digest_size=8).hexdigest()).write_bytes(seed)


def _seeds() -> dict[str, list[bytes]]:
    from hypercore.io.journal import Change, StoredBlock, StoredHead
    from tests.hypercore.recorded import Recording, recordings

    vectors = CORPUS.parents[1] / "vectors" / "hypercore"

    def load(name: str) -> Any:
        return json.loads((vectors / f"{name}.json").read_text())

    chance = Random(1)
    sessions = [Recording.load(path) for path in recordings()]
    plain = {
        session.name: b"".join(
            len(said.plaintext).to_bytes(2, "little") + said.plaintext
            for said in session.messages
            if said.by_initiator
        )
        for session in sessions
        if session.name != "blocks64k"
    }
    programs = [bytes([side, *(chance.choice((0, 0, 0, n)) for n in range(60))]) for side in (0, 1) for _ in range(5)]
    change = Change(3, (), (StoredBlock(1, 0, 2, b"ab"),), ((0, 2, True),), StoredHead(1, 2, bytes(64)))
    bee = load("16_hyperbee")["blocks"]
    drive = load("17_hyperdrive")["metadataBlocks"][1:]
    return {
        "encoding": [
            bytes(range(8)) + bytes.fromhex(case["hex"])
            for name, cases in load("01_compact_encoding").items()
            if isinstance(cases, list)
            for case in cases
        ],
        "messages": [
            bytes([message.get("type", 0xFF) if message.get("type") is not None else 0xFF])
            + bytes.fromhex(message["hex"])
            for message in load("09_wire_messages")["messages"]
        ],
        "protomux": [*plain.values()]
        + [
            len(data).to_bytes(2, "little") + data
            for data in (bytes.fromhex(frame["hex"]) for frame in load("12_protomux")["frames"])
        ],
        "secret_stream": [
            bytes([stage | side | 0x20]) + session.raw[bool(side)][:300]
            for session in sessions[1:3]
            if session.raw
            for stage in range(4)
            for side in (0, 0x10)
        ],
        "manifests": [b"\x00" + bytes.fromhex(case["bytes"]) for case in load("04_manifests")["manifests"]]
        + [b"\x40" + bytes.fromhex(case["bytes"]) for case in load("05_multisig")[1:]],
        "chain_proofs": [bytes([kind]) + body for kind, body in _chain_proofs()],
        "bees_and_drives": [b"\x00" + bytes.fromhex(bee[0]["hex"])]
        + [b"\x40" + bytes.fromhex(block["hex"]) for block in bee[1:]]
        + [b"\x80" + bytes.fromhex(block["value"]) for block in drive if block["value"]]
        + [b"\xc0" + bytes.fromhex(block) for block in load("17_hyperdrive")["dedup"]["mapBlocks"]],
        "store_records": [b"\x00" + change.encode(1 << 24), b"\x00" + Change().encode(0), b"\xc0" + bytes(33)],
        "proofs": [bytes([kind, 3, 5, 9, 0, 1]) for kind in range(8)] + [bytes([kind, 3, 5]) for kind in range(8)],
        "stores": [bytes([flag, number, 40, 0, 1]) for flag in (0, 1) for number in range(7)],
        "replication": programs,
    }


def _chain_proofs() -> Iterator[tuple[int, bytes]]:
    from hypercore import heads
    from hypercore.conflict import Conflict
    from hypercore.proof import ProofRequest, UpgradeRequest

    core = peers.writer()
    proof = core.proof(ProofRequest(upgrade=UpgradeRequest(0, core.length), manifest=True))
    assert proof.upgrade is not None
    assert proof.manifest is not None
    head = heads.HeadProof(
        proof.manifest.encode(), 0, core.length, proof.upgrade.nodes, proof.upgrade.signature
    )
    yield 0, heads.encode_head_proof(head)
    yield 0x40, heads.encode_block_proof(heads.create_block_proof(core.view(), 5))
    yield 0x80, heads.encode_block_sizes_proof(heads.create_range_proof(core.view(), 3, 6))
    yield 0xC0, Conflict(0, core.length, bytes(32), core.tree_hash(), proof).encode()
