"""Following the log's head: who is asked for growth, how a newer fork is adopted, and when two heads contradict.

One question at a time is under way: for growth, or for the next step towards the common ancestor with a newer fork.
"""

from __future__ import annotations

from hypercore.conflict import find_conflict
from hypercore.errors import (
    HypercoreError,
    InvalidChecksum,
    InvalidOperation,
    InvalidSignature,
    RemoteProtocolError,
    StaleProof,
)
from hypercore.messages import Sync
from hypercore.proof import Proof, ProofRequest, UpgradeRequest
from hypercore.reorg import Reorg
from hypercore.requests import REQUEST_TIMEOUT_SECONDS, Outstanding, Peer, Purpose, ReplicatedCore

MAX_FAILED_PROOFS = 3
MAX_UNASKED_HEADS = 16


class HeadFollower:
    """The head of one core, as its peers tell of it."""

    def __init__(self, core: ReplicatedCore) -> None:
        self._core = core
        self._asked: Outstanding | None = None
        self._reorg: Reorg | None = None
        self._unasked_heads: dict[Peer, int] = {}

    @property
    def idle(self) -> bool:
        """True when another peer may be asked."""
        return self._asked is None

    def next_request(self, peer: Peer) -> tuple[Purpose, ProofRequest] | None:
        """What to ask this peer about the head, if anything."""
        if self._asked is not None or peer.remote is None:
            return None
        if self._reorg is not None and peer.remote.fork > self._reorg.fork:
            self._adopt()  # the author went back once more: nobody can tell of the older fork any longer
        if self._reorg is not None:
            wanted = self._reorg.wanted()
            if wanted is None or peer.remote.fork != self._reorg.fork:
                return None
            return Purpose.REORG, ProofRequest(self._reorg.fork, hash=wanted)
        growth = self._growth_request(peer, peer.remote)
        return None if growth is None else (Purpose.GROWTH, growth)

    def sent(self, request: Outstanding) -> None:
        """The request that `next_request` proposed is on its way."""
        self._asked = request

    def receive(self, request: Outstanding, proof: Proof) -> None:
        """The answer to a request about the head; raises `StaleProof` or RemoteProtocolError."""
        if request.purpose is Purpose.REORG:
            self._continue_reorg(proof)
            return
        if proof.upgrade is None or proof.fork != request.proof.fork:
            raise RemoteProtocolError("the answer to a request for growth shows no growth")
        if proof.fork <= self._core.fork:
            self._core.apply(proof)
            return
        self._reorg = Reorg(self._core.view(), proof)
        self._adopt_if_found()

    def ended(self, request: Outstanding, *, answered: bool) -> None:
        """A request about the head is over. Without an answer a search for the ancestor ends at what it knows."""
        if self._asked is not request:
            return
        self._asked = None
        if not answered and self._reorg is not None:
            self._adopt()

    def refused(self, peer: Peer) -> None:
        """The peer could not prove the growth that it told of, and is not asked again until one of us changed."""
        if peer.remote is not None:
            peer.refused_growth = (self._core.length, peer.remote.fork, peer.remote.length)

    def forget(self) -> None:
        """The log is another one now; what was asked is void."""
        self._asked = None
        self._reorg = None

    def peer_closed(self, peer: Peer) -> None:
        """A peer is gone."""
        self._unasked_heads.pop(peer, None)
        if self._reorg is not None and self._asked is None:
            self._adopt()

    def can_prove_growth(self, peer: Peer) -> bool:
        """True when the peer could answer a request about the head."""
        remote = peer.remote
        return remote is not None and (remote.fork > self._core.fork or self._shows_growth(remote))

    def proof_failed(self, peer: Peer, problem: HypercoreError, now_seconds: float) -> None:
        """A wrong proof may mean that a second log was signed: pauses the peer and asks for its head.

        Raises `problem` when the heads cannot be compared, or when the peer was wrong too often.
        """
        if peer.paused:
            return
        remote, core = peer.remote, self._core
        peer.failed_proofs += 1
        comparable = remote is not None and remote.fork == core.fork and min(remote.length, core.length) > 0
        suspicious = isinstance(problem, InvalidChecksum | InvalidSignature)
        if remote is None or not comparable or not suspicious or peer.failed_proofs > MAX_FAILED_PROOFS:
            raise problem
        peer.send_probe(min(remote.length, core.length), now_seconds, problem)

    def receive_head(self, peer: Peer, proof: Proof) -> None:
        """A peer's signed head from nothing, asked for by a probe or sent in alarm.

        Freezes the core when it contradicts ours, else the peer may go on. Raises `InvalidProof` when it is not signed.
        """
        if peer.probe is None:
            count = self._unasked_heads.get(peer, 0) + 1
            if count > MAX_UNASKED_HEADS:
                raise RemoteProtocolError(f"more than {MAX_UNASKED_HEADS} heads that nobody asked for")
            self._unasked_heads[peer] = count
        conflict = find_conflict(self._core.view(), proof)
        if conflict is not None:
            self._core.freeze(conflict)
            return
        if peer.probe is not None:
            peer.probe = None
            peer.paused = False

    def tick(self, peers: list[Peer], now_seconds: float) -> None:
        """A paused peer that does not answer the probe is let go, with the error that it was paused for."""
        for peer in peers:
            if peer.probe is not None and now_seconds - peer.probe.sent_at_seconds >= REQUEST_TIMEOUT_SECONDS:
                peer.accuse(peer.probe.cause)

    def _growth_request(self, peer: Peer, remote: Sync) -> ProofRequest | None:
        core = self._core
        if not remote.length or peer.refused_growth == (core.length, remote.fork, remote.length):
            return None
        manifest = core.manifest is None and remote.has_manifest
        if remote.fork > core.fork:
            return ProofRequest(fork=remote.fork, upgrade=UpgradeRequest(0, remote.length), manifest=manifest)
        if not self._shows_growth(remote):
            return None
        growth = UpgradeRequest(core.length, remote.length - core.length)
        return ProofRequest(fork=core.fork, upgrade=growth, manifest=manifest)

    def _shows_growth(self, remote: Sync) -> bool:
        """True when the peer is ahead on our fork and has heard our present length, so it can prove the difference."""
        core = self._core
        return (
            remote.fork == core.fork
            and remote.can_upgrade
            and remote.length > core.length
            and remote.remote_length == core.length
        )

    def _continue_reorg(self, proof: Proof) -> None:
        if self._reorg is None:
            raise StaleProof("the fork was adopted already")
        if proof.fork != self._reorg.fork:
            raise InvalidOperation(f"asked about fork {self._reorg.fork}, answered about fork {proof.fork}")
        self._reorg.take(proof)
        self._adopt_if_found()

    def _adopt_if_found(self) -> None:
        if self._reorg is not None and self._reorg.wanted() is None:
            self._adopt()

    def _adopt(self) -> None:
        reorg, self._reorg = self._reorg, None
        if reorg is not None and reorg.base == (self._core.fork, self._core.length):
            self._core.adopt(reorg.batch())
