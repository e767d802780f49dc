"""One core on one channel: what the peer has told us, what we owe it, and what we asked of it; no IO.

Messages go in through `receive`; `take` hands out what is to be sent, made only when the link has room for it, so that
blocks never queue up in memory. `wake` is called whenever `take` may have something new.

Source: Hypercore 11.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from itertools import islice

from hypercore.crypto import HASH_SIZE, NAMESPACE_INITIATOR, NAMESPACE_RESPONDER
from hypercore.errors import (
    BlockNotAvailable,
    HypercoreError,
    InvalidRequest,
    LocalProtocolError,
    RemoteProtocolError,
    StaleProof,
    StoreCorrupt,
)
from hypercore.messages import (
    BITS_PER_WORD,
    MAX_BITFIELD_WORDS,
    Bitfield,
    Cancel,
    Data,
    Extension,
    Handshake,
    Message,
    NoData,
    Range,
    Request,
    Sync,
    Unwant,
    Want,
    decode_message,
)
from hypercore.proof import Proof, ProofRequest, UpgradeRequest
from hypercore.remote_blocks import MAX_TRACKED_BLOCKS, RemoteBlocks
from hypercore.replicate import Replicator
from hypercore.requests import InFlight, Outstanding, Probe, ReplicatedCore

WINDOW_REQUESTS = 48
WINDOW_REQUESTS_MAXIMUM = 256
WINDOW_BYTES = WINDOW_REQUESTS * 65_536
MAX_PENDING_REQUESTS = 1024
PREPARED_REQUESTS = 4
MAX_PENDING_WANTS = 1024
MAX_ANNOUNCEMENTS = 1024
MAX_INVALID_REQUESTS = 64
MAX_EXTENSION_QUEUE_BYTES = 1 << 20
WANT_BLOCKS = 1 << 21


def capability(key: bytes, handshake_hash: bytes, of_initiator: bool) -> bytes:
    """Shows, bound to one link and one side of it, that this side knows the core's key."""
    label = NAMESPACE_INITIATOR if of_initiator else NAMESPACE_RESPONDER
    return hashlib.blake2b(label + key, digest_size=HASH_SIZE, key=handshake_hash).digest()


class ReplicationPeer:
    """The two halves, giving and taking, of one core's channel. A RemoteProtocolError of any method ends the link."""

    def __init__(
        self, replicator: Replicator, *, is_initiator: bool, handshake_hash: bytes, wake: Callable[[], None]
    ) -> None:
        self.replicator = replicator
        self.core: ReplicatedCore = replicator.core
        self.is_open = False
        self.blocks = RemoteBlocks()
        self.remote: Sync | None = None
        self.inflight = InFlight()
        self.window = WINDOW_REQUESTS
        self.has_answered = False
        self.paused = False
        self.closing = False
        self.failed_proofs = 0
        self.probe: Probe | None = None
        self.refused_growth: tuple[int, int, int] | None = None
        self.wake = wake
        self._is_initiator = is_initiator
        self._handshake_hash = handshake_hash
        self._requests: dict[int, Request] = {}
        self._invalid_requests = 0
        self._wants: list[Want] = []
        self._wanted = 0
        self._announcements: list[Range] = []
        self._urgent: list[Cancel | Request] = []
        self._extensions: list[Extension] = []
        self._extension_bytes = 0
        self._extension_name_sent = ""
        self._extension_name_received = ""
        self._farewell: tuple[Data, ...] = ()
        self._offence: HypercoreError | None = None
        self._sync_due = False
        self._last_sync: Sync | None = None
        self._upgradable: tuple[tuple[int, int, int], bool] = ((-1, -1, -1), False)

    def handshake(self) -> bytes:
        """Our part of the channel's open."""
        return Handshake(capability(self.core.key, self._handshake_hash, self._is_initiator)).encode()

    def opened(self, handshake: bytes) -> None:
        """The peer opened its half; raises RemoteProtocolError when it does not know the core's key."""
        expected = capability(self.core.key, self._handshake_hash, not self._is_initiator)
        if not hmac.compare_digest(Handshake.decode(handshake).capability, expected):
            raise RemoteProtocolError("the peer does not know the key of the core that it opened")
        self.is_open = True
        self.sync()
        if self.core.contiguous_length:
            self.announce(0, self.core.contiguous_length)
        self.replicator.peer_opened(self)

    def closed(self) -> None:
        """The channel or the link ended; what was asked here is asked of others."""
        if self.is_open:
            self.is_open = False
            self.replicator.peer_closed(self)

    def sync(self, *, signed_anew: bool = False) -> None:
        """Tell the peer our state, unless it knows it already; `signed_anew`: what we can prove has changed."""
        if signed_anew:
            self._upgradable = ((-1, -1, -1), False)
        self._sync_due = True
        self.wake()

    def announce(self, start: int, length: int, drop: bool = False) -> None:
        """Tell the peer that we have (or no longer have) these blocks."""
        last = self._announcements[-1] if self._announcements else None
        if last is not None and last.drop is drop and last.start + last.length == start:
            self._announcements[-1] = Range(last.start, last.length + length, drop)
        elif len(self._announcements) < MAX_ANNOUNCEMENTS:
            self._announcements.append(Range(start, length, drop))
        else:
            self._announcements = [Range(0, max(1, self.core.length), drop=True)]
            self._wants = [Want(0, max(1, self.core.length))]
        self.wake()

    def cancel(self, id: int) -> Outstanding | None:
        """Withdraws a request of ours."""
        self._urgent.append(Cancel(id))
        self.wake()
        return self.inflight.finish(id)

    def widen(self, answer: Proof) -> None:
        """Ask for one more at a time after an answer; more than WINDOW_REQUESTS only of blocks so small."""
        size = len(answer.block.value) if answer.block is not None else 0
        limit = max(WINDOW_REQUESTS, min(WINDOW_REQUESTS_MAXIMUM, WINDOW_BYTES // (size + 1)))
        self.window = min(limit, self.window + 1)

    def send_probe(self, length: int, now_seconds: float, cause: HypercoreError) -> None:
        """Pauses the peer and asks for its signed head, to compare it with ours."""
        self.paused = True
        self.probe = Probe(now_seconds, cause)
        growth = UpgradeRequest(0, length)
        self._urgent.append(Request(0, ProofRequest(self.core.fork, upgrade=growth)))
        self.wake()

    def say_farewell(self, heads: tuple[Data, ...]) -> None:
        """Sends these heads and then closes the channel."""
        self._farewell, self.closing = heads, True
        self.wake()

    def accuse(self, offence: HypercoreError) -> None:
        """Ends the link with this error when it is served next."""
        self._offence = offence
        self.wake()

    def send_extension(self, name: str, message: bytes) -> None:
        """Queues an extension message; raises LocalProtocolError when the peer does not keep up."""
        self._extension_bytes += len(message)
        if self._extension_bytes > MAX_EXTENSION_QUEUE_BYTES:
            self._extension_bytes -= len(message)
            raise LocalProtocolError(f"over {MAX_EXTENSION_QUEUE_BYTES} bytes of extension messages are waiting")
        self._extensions.append(Extension("" if name == self._extension_name_sent else name, message))
        self._extension_name_sent = name
        self.wake()

    def receive(self, type: int, body: bytes) -> None:
        """Takes one message of the channel; unknown types are ignored."""
        message = decode_message(type, body)
        match message:
            case Data():
                self.replicator.receive_data(self, message)
            case Request():
                self._receive_request(message)
            case Sync():
                self._receive_sync(message)
            case NoData():
                self.replicator.receive_no_data(self, message)
            case Range(start=start, length=length, drop=drop):
                (self.blocks.drop if drop else self.blocks.add)(start, length)
                self.replicator.peer_announced(self, start)
            case Bitfield(start=start, words=words):
                self.blocks.replace(start, words)
                self.replicator.peer_announced(self, start)
            case Unwant():
                self._wants = [want for want in self._wants if want.start != message.start]
            case Want():
                self._receive_want(message)
            case Cancel():
                self._requests.pop(message.request, None)
            case Extension():
                self._extension_name_received = message.name or self._extension_name_received
                self.replicator.receive_extension(self, self._extension_name_received, message.message)
        self.wake()

    def take(self, budget_bytes: int) -> list[Message]:
        """Messages to send now, with about `budget_bytes` of answers (one at least, if any is due)."""
        if self._offence is not None:
            raise self._offence
        if not self.is_open:
            return []
        if self.closing:
            farewell, self._farewell = self._farewell, ()
            return list(farewell)
        messages: list[Message] = []
        if self._last_sync is None:
            self._take_sync(messages)
        messages += self._announcements
        self._announcements = []
        self._take_sync(messages)
        self._take_wants(messages)
        messages += self._urgent
        messages += self._extensions
        self._urgent, self._extensions, self._extension_bytes = [], [], 0
        messages += self.replicator.next_requests(self)
        while self._wants and budget_bytes > 0:
            for reply in self._answer_want(self._wants.pop(0)):
                messages.append(reply)
                budget_bytes -= 4 * len(reply.words) if isinstance(reply, Bitfield) else 1
        while budget_bytes > 0 and (request := self._next_request()) is not None:
            answer = self._answer(self._requests.pop(request.id))
            messages.append(answer)
            budget_bytes -= 1
            if isinstance(answer, Data) and answer.proof.block is not None:
                budget_bytes -= len(answer.proof.block.value)
        return messages

    def _take_sync(self, messages: list[Message]) -> None:
        if not self._sync_due:
            return
        self._sync_due = False
        core, remote = self.core, self.remote
        same_fork = (remote.fork if remote else 0) == core.fork
        sync = Sync(
            core.fork,
            core.length,
            remote.length if remote and same_fork else 0,
            can_upgrade=same_fork and self._can_upgrade(),
            has_manifest=core.manifest is not None and core.manifest.key() == core.key,
        )
        if sync != self._last_sync:
            self._last_sync = sync
            messages.append(sync)

    def _take_wants(self, messages: list[Message]) -> None:
        """Asks a peer that has not said it is complete which blocks it has; only then sparse peers tell."""
        if self.remote is None or self.core.contiguous_length >= self.remote.length:
            return
        end = min(self.remote.length, MAX_TRACKED_BLOCKS)
        while self._wanted < end and self.blocks.contiguous < self.remote.length:
            messages.append(Want(self._wanted, WANT_BLOCKS))
            self._wanted += WANT_BLOCKS

    def _can_upgrade(self) -> bool:
        """True when we store the tree nodes that prove growth from the peer's length to ours."""
        length = self.remote.length if self.remote else 0
        state = (length, self.core.length, self.core.fork)
        if not self.core.signed:
            return False
        if self.core.length == 0:
            return True
        if self._upgradable[0] != state:
            self._upgradable = (state, length < self.core.length and self._can_prove_growth(length))
        return self._upgradable[1]

    def _can_prove_growth(self, start: int) -> bool:
        growth = UpgradeRequest(start, self.core.length - start)
        try:
            self.core.proof(ProofRequest(fork=self.core.fork, upgrade=growth))
        except (BlockNotAvailable, InvalidRequest):
            return False
        return True

    def _receive_sync(self, message: Sync) -> None:
        if self.remote is not None and self.remote.fork != message.fork:
            self.blocks.drop(message.length, MAX_TRACKED_BLOCKS)
        self.remote = message
        self.sync()
        self.replicator.peer_synced(self)

    def _receive_want(self, message: Want) -> None:
        if len(self._wants) >= MAX_PENDING_WANTS:
            raise RemoteProtocolError(f"more than {MAX_PENDING_WANTS} wants are waiting")
        self._wants.append(message)

    def _answer_want(self, want: Want) -> list[Message]:
        core = self.core
        end = min(want.start + want.length, core.length)
        if core.contiguous_length >= end and end > want.start:
            return [Range(0, core.contiguous_length)]
        answers: list[Message] = []
        start = want.start - want.start % BITS_PER_WORD
        while start < end:
            count = min(MAX_BITFIELD_WORDS, -(-(end - start) // BITS_PER_WORD))
            answers.append(Bitfield(start, tuple(core.bitfield.words(start, count))))
            start += count * BITS_PER_WORD
        return answers

    def _receive_request(self, message: Request) -> None:
        self._requests.pop(message.id, None)
        if len(self._requests) >= MAX_PENDING_REQUESTS:
            raise RemoteProtocolError(f"more than {MAX_PENDING_REQUESTS} requests are waiting")
        self._requests[message.id] = message

    def _next_request(self) -> Request | None:
        """The oldest request that can be answered now; where blocks take a while, the next few are prepared."""
        for request in islice(self._requests.values(), PREPARED_REQUESTS):
            block = request.proof.block
            if block is None or self.core.prepare(block.index, self.wake):
                return request
        return None

    def _answer(self, request: Request) -> Message:
        try:
            if request.proof.upgrade is not None and not self.core.signed:
                raise BlockNotAvailable("the head waits for the signature of the quorum")
            return Data(request.id, self.core.proof(request.proof))
        except (StaleProof, BlockNotAvailable, StoreCorrupt):
            manifest = self.core.manifest
            if request.proof.manifest and manifest is not None and manifest.key() == self.core.key:
                return Data(request.id, Proof(fork=self.core.fork, manifest=manifest))
            return NoData(request.id, NoData.UNKNOWN if self._is_outdated(request.proof) else NoData.NOT_AVAILABLE)
        except InvalidRequest as problem:
            self._invalid_requests += 1
            if self._invalid_requests > MAX_INVALID_REQUESTS:
                raise RemoteProtocolError(f"more than {MAX_INVALID_REQUESTS} invalid requests: {problem}") from problem
            return NoData(request.id, NoData.INVALID_REQUEST)

    def _is_outdated(self, request: ProofRequest) -> bool:
        """True when the peer asked before it could hear that the log went back or that the block was cleared.

        It needs no other reason, and JavaScript gives a peer up for good that says "not available" 32 times.
        """
        return request.fork != self.core.fork or (
            request.block is not None and not self.core.has(request.block.index)
        )
