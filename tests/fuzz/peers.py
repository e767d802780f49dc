"""The state machines against a peer that is a mutation of an honest one, and stores whose files rotted.

An input is a program: each byte says what happens next to the messages of an honest peer on their way to ours (passed
on, changed, cut short, dropped, repeated, put behind others), or makes one up. Whatever the program, the link ends with
a `RemoteProtocolError` or goes on, memory is bounded, our core holds only what its author signed, and an honest peer of
the same core, on a link of its own, then brings or gets everything.
"""

from __future__ import annotations

import copy
from collections import deque
from contextlib import suppress
from functools import cache

from hypercore.crypto import KeyPair
from hypercore.errors import HypercoreError, RemoteProtocolError, StoreError
from hypercore.io.core import Core
from hypercore.io.files import MemoryDirectory
from hypercore.messages import Data
from hypercore.proof import BlockRequest, ProofRequest, SeekRequest, UpgradeRequest
from hypercore.remote_blocks import MAX_TRACKED_BLOCKS
from hypercore.replicate import Replicator
from hypercore.replicate_peer import MAX_PENDING_REQUESTS, ReplicationPeer
from hypercore.requests import REQUEST_TIMEOUT_SECONDS
from tests.hypercore.replicas import HANDSHAKE_HASH, Link, replicator_of

STEPS_MAXIMUM = 400
BLOCKS = 12
BUDGET = 1 << 20
KEY_PAIR = KeyPair.from_seed(b"\x01" * 32)
QUEUE_MAXIMUM = 3000


class Program:
    """Reads numbers from the input; zeros when it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def ended(self) -> bool:
        """True when nothing is left."""
        return self._position >= len(self._data)

    def byte(self) -> int:
        """The next byte."""
        self._position += 1
        return self._data[self._position - 1] if self._position <= len(self._data) else 0

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        self._position += count
        return self._data[self._position - count : self._position]


def memory_of(peer: ReplicationPeer) -> int:
    """Everything that a peer can make us keep, counted in entries."""
    return (
        len(peer.inflight) + len(peer._requests) + len(peer._wants) + len(peer._announcements) + len(peer._urgent)
        + len(peer.blocks._bits._pages)
    )  # fmt: skip


class Encounter:
    """Our end, and the honest peer whose messages to us the program mutates."""

    def __init__(self, program: Program, ours: Core, theirs: Core) -> None:
        self.program = program
        self.replicator = replicator_of(ours)
        self.theirs = theirs
        self.peer, self.other = (
            ReplicationPeer(replicator, is_initiator=side == 0, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
            for side, replicator in enumerate((self.replicator, replicator_of(theirs)))
        )
        self.peer.opened(self.other.handshake())
        self.other.opened(self.peer.handshake())
        self.queue: deque[tuple[int, bytes]] = deque()
        self.now_seconds = 0.0
        self.length = BLOCKS

    def run(self) -> None:
        """Carries out the program until it or the link ends."""
        try:
            for _ in range(STEPS_MAXIMUM):
                if self.program.ended:
                    break
                self.step(self.program.byte())
                assert memory_of(self.peer) <= 4 * MAX_PENDING_REQUESTS + MAX_TRACKED_BLOCKS // 32_768
        except RemoteProtocolError:
            pass
        self.peer.closed()

    def step(self, choice: int) -> None:
        """One thing happens."""
        match choice % 12:
            case 0 | 1 | 2 | 3:
                self.pass_on()
            case 4:
                self.alter(lambda body: self.flipped(body))
            case 5:
                self.alter(lambda body: body[: self.program.byte() % (len(body) + 1)])
            case 6:
                if self.queue:
                    self.queue.popleft()
            case 7:
                self.queue.rotate(1 + choice // 12 % 7)
            case 8:
                self.queue.extend(list(self.queue)[: QUEUE_MAXIMUM - len(self.queue)][:1] * 3)
            case 9:
                size = self.program.byte() % 40
                self.peer.receive(self.program.byte() % 12, self.program.take(size))
            case 10:
                self.now_seconds += REQUEST_TIMEOUT_SECONDS / 2
                self.replicator.tick(self.now_seconds)
            case _:
                self.change(choice // 12)

    def pass_on(self) -> None:
        """Both sides say what they have to say, and the oldest message reaches us."""
        self.exchange()
        for _ in range(min(3, len(self.queue))):
            self.peer.receive(*self.queue.popleft())

    def exchange(self) -> None:
        """Ours reaches the other at once, the other's waits in the queue."""
        for message in self.peer.take(BUDGET):
            try:
                self.other.receive(message.type, message.encode())
            except RemoteProtocolError:
                continue  # what we say to a mutated message may be nonsense to the one who sent the original
        try:
            said = self.other.take(BUDGET)
        except RemoteProtocolError:
            return
        for message in said[: QUEUE_MAXIMUM - len(self.queue)]:
            self.queue.append((message.type, message.encode()))

    def alter(self, change: object) -> None:
        """The oldest message reaches us changed."""
        self.exchange()
        if self.queue:
            type, body = self.queue.popleft()
            assert callable(change)
            self.peer.receive(type, change(body))

    def flipped(self, body: bytes) -> bytes:
        """One byte is another one."""
        if not body:
            return self.program.take(3)
        place = self.program.byte() % len(body)
        return body[:place] + bytes([body[place] ^ (self.program.byte() or 1)]) + body[place + 1 :]

    def change(self, choice: int) -> None:
        """The author goes on, or what we want changes."""
        writable = next((core for core in (self.theirs, self.replicator.core) if core.writable), None)
        assert isinstance(writable, Core)
        match choice % 4:
            case 0:
                writable.append([b"more"] * (1 + choice % 3))
            case 1:
                # Nothing can be shown of an empty log, so peers follow one only when it has grown again.
                writable.truncate(max(1, writable.length // 2))
            case 2:
                self.replicator.seek(choice * 5, 0, lambda block, offset: None)
            case _:
                self.replicator.want(choice % 9, None)


@cache
def _log(blocks: int) -> MemoryDirectory:
    """A writer's disk; copied, as making one costs a signature."""
    directory = MemoryDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=directory)
    core.append([b"block-%d" % index for index in range(blocks)])
    core.close()
    return directory


def writer() -> Core:
    """An author with a log."""
    return Core.open(directory=copy.deepcopy(_log(BLOCKS)))


def replication(data: bytes) -> None:
    """Ours reads from, or serves to, a mutated peer; then an honest one of the same core."""
    program = Program(data)
    author = writer()
    we_serve = bool(program.byte() & 1)
    copy_ = Core.open(key=author.key)
    ours, theirs = (author, copy_) if we_serve else (copy_, author)
    encounter = Encounter(program, ours, theirs)
    encounter.replicator.want(0, None)
    if we_serve:
        encounter.other.replicator.want(0, None)
    encounter.run()
    assert not ours.frozen
    honest = Core.open(key=author.key) if we_serve else author
    unharmed = replicator_of(honest)
    unharmed.want(0, None)
    link = Link(unharmed, encounter.replicator)
    _settle(link, encounter.replicator, encounter.now_seconds)
    assert honest.contiguous_length == ours.contiguous_length == author.length
    assert honest.tree_hash() == ours.tree_hash() == author.tree_hash()
    assert all(ours.get(index) == author.get(index) for index in range(author.length))


def _settle(link: Link, replicator: Replicator, now_seconds: float) -> None:
    for turn in range(6):
        link.settle()
        replicator.tick(now_seconds + (turn + 1) * REQUEST_TIMEOUT_SECONDS)


def proofs(data: bytes) -> None:
    """An honest answer with some bytes changed, applied to a copy: refused, or nothing but what is true."""
    program = Program(data)
    source = writer()
    clone = Core.open(key=source.key)
    kind = program.byte()
    if kind & 1:
        clone.apply(source.proof(ProofRequest(upgrade=UpgradeRequest(0, BLOCKS), manifest=True)))
    block = BlockRequest(program.byte() % BLOCKS, 4) if kind & 2 else None
    upgrade = None if kind & 1 else UpgradeRequest(0, 1 + program.byte() % BLOCKS)
    if upgrade is not None and block is not None:
        block = BlockRequest(block.index % upgrade.length, 0)
    seek = SeekRequest(program.byte(), 0) if kind & 4 and upgrade is None and block is not None else None
    try:
        answer = Data(1, source.proof(ProofRequest(0, block, None, seek, upgrade, upgrade is not None))).encode()
    except HypercoreError:
        return
    altered = bytearray(answer)
    while not program.ended:
        place, value = program.byte() | program.byte() << 8, program.byte()
        altered[place % len(altered)] ^= value
    before = (clone.length, clone.fork, clone.tree_hash())
    try:
        clone.apply(Data.decode(bytes(altered)).proof)
    except HypercoreError:
        assert (clone.length, clone.fork, clone.tree_hash()) == before
    assert clone.length <= BLOCKS
    if clone.length:
        assert clone.tree_hash() == source.tree_hash(clone.length)
    assert all(clone.get(index) == source.get(index) for index in range(clone.length) if clone.has(index))


def stores(data: bytes) -> None:
    """Files of a store with bytes changed, cut or added: it opens at something signed, or says that it is damaged."""
    program = Program(data)
    left = MemoryDirectory()
    core = Core.create(key_pair=KEY_PAIR, directory=left)
    core.append([b"a" * 30, b"b" * 17_000, b"c"])
    if program.byte() & 1:
        core._store.checkpoint()
    core.append([b"d" * 50])
    core.set_user_data("name", b"value")
    core._store.abandon()
    names = sorted(left._files) + sorted(left._small)
    while not program.ended:
        name = names[program.byte() % len(names)]
        place, value = program.byte() | program.byte() << 8, program.byte()
        if name in left._small:
            content = bytearray(left._small[name])
            if content:
                content[place % len(content)] ^= value
            left._small[name] = bytes(content[: place if value == 0xFF else None])
        elif value == 0xFF:
            left._files[name].truncate(place % (left._files[name].size() + 100))
        else:
            file = left._files[name]
            offset = place % (file.size() + 8)
            file.write(offset, bytes([(file.read(offset, 1) or b"\0")[0] ^ value]))
    try:
        core = Core.open(directory=left)
    except StoreError:
        return
    for index in range(core.length):
        try:
            core.get(index)
        except HypercoreError:
            continue
    with suppress(HypercoreError):
        core.append(b"goes on")
    core._store.abandon()
