"""The recorded sessions between two JavaScript peers: their plaintext messages, and what the applications did then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from hypercore.crypto import KeyPair
from hypercore.encoding import Reader
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.replication import Replication
from hypercore.messages import Data, decode_message
from hypercore.proof import BlockRequest, DataBlock, ProofRequest, UpgradeRequest

FOLDER = Path(__file__).parents[1] / "vectors" / "hypercore"
WRITER = KeyPair.from_seed(b"\x01" * 32)
HEADERS = {True: b"\xa0" * 24, False: b"\xa1" * 24}
"""The random bytes that the initiator (True) and the responder drew for the secret stream."""

Part = tuple[int, bytes]
"""A channel's number (0: control) and what was said on it."""


def load(name: str) -> Any:
    """A vector file."""
    return json.loads((FOLDER / name).read_text())


_SEEDS = next(case for case in load("10_noise.json")["cases"] if case["pattern"] == "XX")["seeds"]


def key_pairs(initiator: bool) -> tuple[KeyPair, KeyPair]:
    """The static and the ephemeral key pair of one side."""
    letter = "I" if initiator else "R"
    static, ephemeral = (bytes.fromhex(_SEEDS[f"{kind}{letter}"]) for kind in ("static", "ephemeral"))
    return KeyPair.from_seed(static), KeyPair.from_seed(ephemeral)


def parts_of(plaintext: bytes) -> list[Part]:
    """The messages in one plaintext, batches taken apart."""
    reader = Reader(plaintext)
    channel = reader.uint()
    if plaintext[:2] != b"\x00\x00":
        return [(channel, reader.rest())]
    reader.uint()
    channel, parts = reader.uint(), list[Part]()
    while not reader.at_end:
        item = reader.buffer()
        if item:
            parts.append((channel, item))
        else:
            channel = reader.uint()
    return parts


@dataclass(frozen=True)
class Said:
    """One plaintext message of a recording."""

    by_initiator: bool
    plaintext: bytes


@dataclass(frozen=True)
class Recording:
    """A session; `raw` are the bytes on the socket, None in the one recording that left them out."""

    name: str
    messages: list[Said]
    raw: Mapping[bool, bytes] | None
    raw_sizes: Mapping[bool, int]

    @classmethod
    def load(cls, path: Path) -> Recording:
        """The recording in a file. The 64 KiB blocks that it shortens are put back."""
        found = load(path.name)
        messages = []
        for message in found["messages"]:
            plaintext = _restored(message) if "..." in message["hex"] else bytes.fromhex(message["hex"])
            assert len(plaintext) == message["bytes"]
            messages.append(Said(message["from"] == "initiator", plaintext))
        names = {True: "rawInitiatorToResponder", False: "rawResponderToInitiator"}
        raw = {side: bytes.fromhex(found[name]) for side, name in names.items()} if names[True] in found else None
        counted = found.get("rawBytes")
        sizes = {side: len(raw[side]) if raw else counted[name[3:4].lower() + name[4:]] for side, name in names.items()}
        return cls(path.stem.removeprefix("13_transcript_"), messages, raw, sizes)


def recordings() -> list[Path]:
    """The files."""
    return sorted(FOLDER.glob("13_transcript_*.json"))


def block(kind: str, index: int) -> bytes:
    """The content of a block, as the README of the vectors defines it."""
    if kind == "small":
        return b"block-%d" % index
    return bytes((31 * index + 7 * position + (position >> 8)) & 255 for position in range(65_536))


def _restored(message: Any) -> bytes:
    fields = message["decoded"][0]["fields"]
    core = Core.create(key_pair=WRITER)
    core.append([block("64k", index) for index in range(7)])
    wanted = BlockRequest(fields["block"]["index"], len(fields["block"]["nodes"]))
    proof = core.proof(ProofRequest(block=wanted))
    assert isinstance(proof.block, DataBlock)
    return b"\x01" + bytes((Data.type,)) + Data(fields["request"], proof).encode()


@dataclass
class Stage:
    """What one side works with: its replication, its cores by name, and tasks that wait for peers."""

    replication: Replication
    nursery: trio.Nursery
    cores: dict[str, Core]
    got: dict[tuple[str, int], bytes] = field(default_factory=dict)
    sought: list[tuple[int, int]] = field(default_factory=list)
    extensions: list[bytes] = field(default_factory=list)

    def get(self, index: int, name: str = "") -> None:
        """Ask for a block."""

        async def wait() -> None:
            self.got[(name, index)] = await self.replication.get(self.cores[name], index)

        self.nursery.start_soon(wait)

    def seek(self, offset: int) -> None:
        """Ask for the block of a byte."""

        async def wait() -> None:
            self.sought.append(await self.replication.seek(self.cores[""], offset))

        self.nursery.start_soon(wait)

    def follow(self) -> None:
        """Ask for every block, also later ones."""
        self.replication.add(self.cores[""]).want(0, None)

    def add(self, name: str) -> None:
        """Begin to replicate a core."""
        self.replication.add(self.cores[name])

    def listen(self, *messages: bytes) -> None:
        """Send extension messages, and keep what comes in."""
        replicator = self.replication.add(self.cores[""])
        replicator.on_extension = lambda peer, name, message: self.extensions.append(message)
        for peer in replicator.peers:
            for message in messages:
                peer.send_extension("my-ext", message)

    def close(self) -> None:
        """Stop replicating everything."""
        for core in self.cores.values():
            self.replication.remove(core)


Action = Callable[[Stage], object]


@dataclass(frozen=True)
class Scene:
    """What both applications did. Numbers are those of the recorded message before which it happened."""

    cores: Callable[[], dict[str, Core]]
    writer: Mapping[int, Action] = field(default_factory=dict)
    reader: Mapping[int, Action] = field(default_factory=dict)
    late: tuple[str, ...] = ()


def _log(length: int, kind: str = "small", *, compat: bool = False) -> Callable[[], dict[str, Core]]:
    def make() -> dict[str, Core]:
        core = Core.create(key_pair=WRITER, compat=compat)
        core.append([block(kind, index) for index in range(length)])
        return {"": core}

    return make


def _sparse() -> dict[str, Core]:
    source = _log(10)()[""]
    core = Core.open(key=source.key)
    core.apply(source.proof(ProofRequest(upgrade=UpgradeRequest(0, 10), manifest=True)))
    for index in (3, 7):
        core.apply(source.proof(ProofRequest(block=BlockRequest(index, core.missing_nodes(2 * index)))))
    return {"": core}


def _store() -> dict[str, Core]:
    logs = {name: Corestore(None, b"\x07" * 32).get(name) for name in "xyz"}
    for name, blocks in (("x", [b"x0", b"x1"]), ("y", [b"y0"]), ("z", [b"late"])):
        logs[name].append(blocks)
    return {name: log.core for name, log in logs.items()}


def _unknown() -> dict[str, Core]:
    return {"": Core.open(key=b"\x77" * 32)}


SCENES: dict[str, Scene] = {
    "blocks64k": Scene(_log(7, "64k"), reader={10: Stage.follow, 25: Stage.close}),
    "clear_range": Scene(
        _log(10),
        writer={12: lambda stage: stage.cores[""].clear(2, 5)},
        reader={10: lambda stage: stage.get(0), 13: lambda stage: stage.get(3), 15: Stage.close},
    ),
    "compat_core": Scene(
        _log(3, compat=True),
        reader={10: lambda stage: stage.get(0), 12: lambda stage: stage.get(2), 14: Stage.close},
    ),
    "corestore_two_cores": Scene(
        _store,
        writer={14: lambda stage: stage.add("z"), 29: Stage.close},
        reader={
            9: lambda stage: stage.get(1, "x"),
            11: lambda stage: stage.get(0, "y"),
            16: lambda stage: stage.add("z"),
            26: lambda stage: stage.get(0, "z"),
            32: Stage.close,
        },
        late=("z",),
    ),
    "download10": Scene(_log(10), reader={10: Stage.follow, 31: Stage.close}),
    "extension": Scene(
        _log(1),
        writer={10: lambda stage: stage.listen(b"one", b"two")},
        reader={10: Stage.listen, 12: lambda stage: stage.listen(b"three"), 13: Stage.close},
    ),
    "live_append": Scene(
        _log(5),
        writer={
            21: lambda stage: stage.cores[""].append([b"live-5", b"live-6"]),
            29: lambda stage: stage.cores[""].truncate(4),
            33: lambda stage: stage.cores[""].append(b"fork-4"),
        },
        reader={10: Stage.follow, 38: Stage.close},
    ),
    "sparse_get_1000": Scene(
        _log(1000),
        reader={
            10: lambda stage: stage.get(42),
            12: lambda stage: stage.get(999),
            14: lambda stage: stage.seek(4444),
            16: Stage.close,
        },
    ),
    "sparse_uploader": Scene(
        _sparse,
        reader={
            10: lambda stage: stage.get(3),
            12: lambda stage: stage.get(7),
            13: lambda stage: stage.get(5),
            14: Stage.close,
        },
    ),
    "unknown_core": Scene(_unknown),
}


def describe(part: Part) -> str:
    """The kind of a message in a word."""
    channel, payload = part
    if channel == 0:
        return ("batch", "open", "reject", "close")[payload[0]]
    message = decode_message(payload[0], payload[1:])
    return type(message).__name__

