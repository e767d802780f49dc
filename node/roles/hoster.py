"""The hoster: take lanes from attestors, keep them on disk, serve their blocks to readers, prove that they are here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import trio

from hypercore.io.core import Core
from hypercore.io.replication import Replication
from node.roles import limits
from node.roles.hosted_feeds import HostedFeeds
from node.roles.hoster_store import DiskFull, LaneDamaged, LaneStore, QuotaFull, StoredLane
from node.roles.identity import ProviderIdentity
from node.roles.lane_protocol import Bye, Chunk, FaultCode, LaneFault, LaneIntake, Offer, RemoteFault, Stored
from node.roles.lane_stream import LaneStream, PeerUnreachable, receive_lane
from node.roles.market_view import PALLET, LaneId, LaneTerms, MarketView
from node.roles.opener import ChunkOpener
from node.roles.sealer import SealPool
from pallets.datdot.components import LeafEvidence
from pallets.datdot.sealing import LaneCommitment, LaneTree, SealingError
from pallets.datdot.types import Check, StorageChallenge
from runtime.call import RuntimeCall

log = logging.getLogger(__name__)


class EvidenceRefused(Exception):
    """The chain refused the answer to a storage challenge; the text is its reason."""


class Hoster:
    """The hoster role of one account: its lanes, their replicas, and the answers to challenges."""

    def __init__(
        self,
        identity: ProviderIdentity,
        user_id: int,
        market: MarketView,
        pool: SealPool,
        reading_pool: SealPool,
        store: LaneStore,
        path: Path,
    ) -> None:
        self._identity = identity
        self._user_id = user_id
        self._market = market
        self._pool = pool
        self._store = store
        self._opener = ChunkOpener(store, reading_pool)
        self._feeds = HostedFeeds(path, self._opener)
        self._streams: dict[LaneId, trio.CancelScope] = {}
        self._unwanted_since: dict[StoredLane, int] = {}

    async def open_for_readers(self) -> None:
        """Open the chunks that readers ask for, until cancelled."""
        await self._opener.run()

    def resolve(self, discovery: bytes) -> Core | None:
        """The hosted core that a reader asks for."""
        return self._feeds.resolve(discovery)

    @property
    def discovery_keys(self) -> tuple[bytes, ...]:
        """The feeds of which this account serves blocks, by discovery key."""
        return self._feeds.discovery_keys

    def close(self) -> None:
        """Close the replicas; sealed lanes are on the medium already."""
        self._feeds.close()

    # --- taking lanes

    async def accept(self, stream: LaneStream, offer: Offer, terms: LaneTerms) -> None:
        """Take in the lane that an attestor offers, and sign for it once it is on the medium.

        A later stream of the same lane takes this one's place. Raises LaneFault, PeerUnreachable, RemoteFault.
        """
        lane_id = LaneId(terms.contract, terms.amendment, terms.position)
        if lane_id in self._streams:
            self._streams[lane_id].cancel()
        scope = self._streams[lane_id] = trio.CancelScope()
        try:
            with scope:
                await self._take(stream, offer, terms)
        finally:
            if self._streams.get(lane_id) is scope:
                del self._streams[lane_id]

    async def _take(self, stream: LaneStream, offer: Offer, terms: LaneTerms) -> None:
        encoder = self._market.user(terms.encoder)
        if encoder is None:
            raise LaneFault(FaultCode.OVER, f"user {terms.encoder} is gone")
        try:
            commitment = await self._write(stream, offer, terms, encoder.signing_key)
        except QuotaFull as error:
            log.warning("%s is refused: %s", terms, error)
            raise LaneFault(FaultCode.QUOTA_FULL, str(error)) from error
        except DiskFull as error:
            log.error("%s is refused and what was written of it deleted: %s", terms, error)
            raise LaneFault(FaultCode.DISK_FULL, str(error)) from error
        if self._market.lane_terms(terms.amendment, terms.position) is None:
            raise LaneFault(FaultCode.OVER, f"{terms} is no longer being set up")
        place = (terms.genesis, terms.contract, terms.amendment, terms.position)
        await stream.send(Stored(self._identity.sign_commitment(*place, commitment)))
        try:
            await stream.receive(Bye, within_seconds=limits.GREETING_SECONDS)
        except (PeerUnreachable, RemoteFault) as error:
            log.info("%s is stored, the attestor did not confirm: %s", terms, error)

    async def _write(
        self, stream: LaneStream, offer: Offer, terms: LaneTerms, encoder_signing_key: bytes
    ) -> LaneCommitment:
        intake = LaneIntake(terms)
        lane = intake.take_offer(offer)
        opened: list[bytes] = []
        with self._store.begin(terms, lane, offer) as writer:

            async def keep(chunk: Chunk, content: bytes) -> None:
                writer.write(chunk.sealed, chunk.proof)
                opened.append(content)

            _, commitment = await receive_lane(stream, intake, self._pool, encoder_signing_key, keep)
            stored = await trio.to_thread.run_sync(writer.finish, commitment)
        if self._store.find(stored.id, stored.root) is None:
            self._store.add(stored)
            self._feeds.attach(stored)
            self._feeds.teach(stored, list(enumerate(opened)))
        return commitment

    # --- keeping lanes

    async def restore(self) -> None:
        """After a start: serve what is on disk, teach replicas what they lack, check it against the chain."""
        for lane in self._store.lanes():
            missing = self._feeds.attach(lane)
            if missing:
                await self._teach_again(lane, missing)
        for lane_id in self._market.hosted_lanes(self._user_id):
            position = self._market.live_position(lane_id)
            if position is None:
                continue
            stored = self._store.find(lane_id, position.root)
            if stored is None or not await trio.to_thread.run_sync(self._store.is_intact, stored):
                log.error("the sealed copy of %s is missing or damaged: its challenges will be missed", lane_id)

    async def _teach_again(self, lane: StoredLane, places: Sequence[int]) -> None:
        opened = []
        for place in places:
            try:
                sealed = self._store.read_sealed(lane, place)
                opened.append((place, await self._pool.open(lane.lane, lane.chunks[place], sealed)))
            except (LaneDamaged, SealingError) as error:
                log.error("chunk %d of %s cannot be opened: %s", place, lane.path.name, error)
        self._feeds.teach(lane, opened)

    def erase_unwanted(self, replication: Replication) -> None:
        """Erase lanes that the chain has not wanted for ERASE_AFTER_BLOCKS behind the finalized block."""
        best, finalized = self._market.chain.best_number, self._market.chain.finalized_number
        hosted = set(self._market.hosted_lanes(self._user_id))
        for lane in self._store.lanes():
            if self._is_wanted(lane, hosted):
                self._unwanted_since.pop(lane, None)
            elif finalized >= self._unwanted_since.setdefault(lane, best) + limits.ERASE_AFTER_BLOCKS:
                self._erase(lane, replication)

    def _is_wanted(self, lane: StoredLane, hosted: set[LaneId]) -> bool:
        if lane.id in hosted:
            position = self._market.live_position(lane.id)
            return position is None or position.root == lane.root
        terms = self._market.lane_terms(lane.id.amendment, lane.id.position)
        return terms is not None and terms.hoster == self._user_id

    def _erase(self, lane: StoredLane, replication: Replication) -> None:
        log.info("erasing %s: nobody pays for it any more", lane.path.name)
        core = self._feeds.detach(lane)
        if core is not None:
            replication.remove(core)
            self._feeds.delete(core)
        self._store.erase(lane)
        self._unwanted_since.pop(lane, None)

    # --- proving lanes

    async def prove(self, challenge_id: int) -> None:
        """Answer an open storage challenge with every leaf that is here; raises EvidenceRefused."""
        challenge = self._market.challenge(challenge_id)
        if challenge is None:
            return
        evidence = await self._evidence(challenge)
        missing = challenge.answered.count(False) - len(evidence)
        if missing:
            log.error("%d leaves of challenge %d cannot be shown", missing, challenge_id)
        for start in range(0, len(evidence), limits.EVIDENCE_PER_CALL):
            part = tuple(evidence[start : start + limits.EVIDENCE_PER_CALL])
            receipt = await self._market.chain.submit(
                RuntimeCall(PALLET, "submit_storage_challenge", {"challenge": challenge_id, "evidence": part}),
                self._identity.account,
            )
            if receipt.error is not None:
                raise EvidenceRefused(f"the answer to challenge {challenge_id} was refused: {receipt.error}")

    async def _evidence(self, challenge: StorageChallenge) -> list[LeafEvidence]:
        """What can be shown of the leaves not answered yet, lane by lane."""
        by_lane: dict[LaneId, list[tuple[int, Check]]] = {}
        for number, (check, is_answered) in enumerate(zip(challenge.checks, challenge.answered, strict=True)):
            if not is_answered:
                lane_id = LaneId(check.contract, check.amendment, check.position)
                by_lane.setdefault(lane_id, []).append((number, check))
        evidence = []
        for lane_id, checks in by_lane.items():
            position = self._market.live_position(lane_id)
            stored = self._store.find(lane_id, position.root) if position is not None else None
            if position is None or stored is None:
                log.error("%s is asked for and not stored here", lane_id)
                continue
            commitment = LaneCommitment(position.root, position.leaves, position.encoded_bytes, position.key_hash)
            evidence += await trio.to_thread.run_sync(self._show, stored, commitment, checks)
        return sorted(evidence, key=lambda item: item.check)

    def _show(
        self, lane: StoredLane, commitment: LaneCommitment, checks: Sequence[tuple[int, Check]]
    ) -> list[LeafEvidence]:
        """Leaves with their paths, as far as they still lead to the root on the chain; runs in a thread."""
        shown = []
        try:
            tree: LaneTree = self._store.tree(lane)
            for number, check in checks:
                leaf, path = self._store.read_leaf(lane, check.leaf), tree.path(check.leaf)
                if not commitment.verify_leaf(check.amendment, check.position, check.leaf, leaf, path):
                    raise LaneDamaged(f"leaf {check.leaf} does not lead to the root that was signed")
                shown.append(LeafEvidence(number, leaf, path))
        except (LaneDamaged, SealingError) as error:
            log.error("the sealed copy %s is damaged: %s", lane.path.name, error)
        return shown
