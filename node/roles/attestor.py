"""The attestor: three independent lanes of an amendment, each checked chunk by chunk on its way from encoder to hoster.

Encoders dial us, we dial the hosters. Nothing is compared between lanes, so a slow or lying provider spoils its own
lane only. The report goes out when every lane has an end, or shortly before the deadline with what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

import trio

from node.client.errors import SubmitFailed
from node.roles import limits
from node.roles.identity import ProviderIdentity, is_commitment_signed
from node.roles.lane_protocol import (
    Bye,
    Chunk,
    Fault,
    FaultCode,
    LaneFault,
    LaneIntake,
    Offer,
    RemoteFault,
    Sealed,
)
from node.roles.lane_protocol import Stored as StoredFrame
from node.roles.lane_stream import LaneDialer, LaneStream, PeerUnreachable, receive_lane
from node.roles.market_view import PALLET, LaneTerms, MarketView
from node.roles.retry import Backoff, BlockClock
from node.roles.sealer import SealPool
from pallets.datdot.components import NotStored, PositionResult, Stored
from pallets.datdot.events import NotStoredCode
from pallets.datdot.sealing import LaneCommitment
from runtime.call import RuntimeCall

log = logging.getLogger(__name__)

ENCODER_LIES = (FaultCode.BAD_OFFER, FaultCode.BAD_CHUNK, FaultCode.BAD_COMMITMENT, FaultCode.BAD_SIGNATURE)
HOSTER_REFUSES = (FaultCode.QUOTA_FULL, FaultCode.DISK_FULL, *ENCODER_LIES)


class _HosterTrouble(Exception):
    """The hoster of a lane refuses it for good, or could not be worked with this time."""

    def __init__(self, reason: Exception, is_final: bool) -> None:
        super().__init__(str(reason))
        self.is_final = is_final


@contextmanager
def _hoster_at_fault() -> Iterator[None]:
    try:
        yield
    except RemoteFault as fault:
        raise _HosterTrouble(fault, fault.code in HOSTER_REFUSES) from fault
    except LaneFault as fault:
        raise _HosterTrouble(fault, is_final=True) from fault
    except PeerUnreachable as error:
        raise _HosterTrouble(error, is_final=False) from error


@dataclass
class _Setup:
    """One amendment: ends of lanes, what is held against unfinished ones, and the streams that are open."""

    amendment: int
    blame: dict[int, NotStored]
    ends: dict[int, PositionResult] = field(default_factory=dict)
    streams: dict[int, trio.CancelScope] = field(default_factory=dict)
    complete: trio.Event = field(default_factory=trio.Event)

    def end(self, result: PositionResult, position: int) -> None:
        """A lane has come to its end."""
        self.ends[position] = result
        if self.ends.keys() == self.blame.keys():
            self.complete.set()

    def results(self) -> tuple[PositionResult, ...]:
        """The report: how each lane ended, or what is held against it."""
        return tuple(self.ends.get(position, self.blame[position]) for position in sorted(self.blame))


class Attestor:
    """The attestor role of one account."""

    def __init__(
        self,
        identity: ProviderIdentity,
        market: MarketView,
        pool: SealPool,
        dialer: LaneDialer,
        clock: BlockClock,
    ) -> None:
        self._identity = identity
        self._market = market
        self._pool = pool
        self._dialer = dialer
        self._clock = clock
        self._setups: dict[int, _Setup] = {}

    async def run(self, amendment_id: int) -> None:
        """Attend to one amendment until its report is on the chain. The caller cancels it when the setup is over."""
        amendment = self._market.amendment(amendment_id)
        if amendment is None or amendment.deadline is None:
            return
        silent = NotStoredCode.ENCODER_SILENT.value
        pairs = zip(amendment.positions, amendment.encoders, strict=True)
        setup = _Setup(amendment_id, {position: NotStored(position, silent, encoder) for position, encoder in pairs})
        self._setups[amendment_id] = setup
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_up_in_time, amendment.deadline, nursery.cancel_scope)
                await setup.complete.wait()
                nursery.cancel_scope.cancel()
            await self._report(setup)
        finally:
            del self._setups[amendment_id]
            for scope in setup.streams.values():
                scope.cancel()

    async def accept(self, stream: LaneStream, offer: Offer, terms: LaneTerms) -> None:
        """Relay the lane that an encoder offers on this stream; a later stream of the same lane takes its place."""
        setup = self._setups.get(terms.amendment)
        if setup is None:
            raise LaneFault(FaultCode.NOT_ASSIGNED, f"{terms} is not attended to yet")
        if terms.position in setup.ends:
            raise LaneFault(FaultCode.OVER, f"{terms} has an end already")
        if terms.position in setup.streams:
            setup.streams[terms.position].cancel()
        scope = setup.streams[terms.position] = trio.CancelScope()
        try:
            with scope:
                await self._attend(setup, stream, offer, terms)
        finally:
            if setup.streams.get(terms.position) is scope:
                del setup.streams[terms.position]

    async def _attend(self, setup: _Setup, stream: LaneStream, offer: Offer, terms: LaneTerms) -> None:
        position = terms.position
        try:
            await self._relay(setup, stream, offer, terms)
        except _HosterTrouble as trouble:
            log.info("%s: hoster %d: %s", terms, terms.hoster, trouble)
            code = NotStoredCode.HOSTER_REFUSED if trouble.is_final else NotStoredCode.HOSTER_SILENT
            setup.blame[position] = NotStored(position, code.value, terms.hoster)
            if trouble.is_final:
                setup.end(setup.blame[position], position)
            await stream.end(Fault(FaultCode.HOSTER_FAILED))
        except LaneFault as fault:
            setup.blame[position] = NotStored(position, NotStoredCode.ENCODER_INVALID.value, terms.encoder)
            if fault.code in ENCODER_LIES:
                setup.end(setup.blame[position], position)
            raise
        except (PeerUnreachable, RemoteFault) as error:
            log.info("%s: encoder %d: %s", terms, terms.encoder, error)
            setup.blame[position] = NotStored(position, NotStoredCode.ENCODER_SILENT.value, terms.encoder)

    async def _relay(self, setup: _Setup, stream: LaneStream, offer: Offer, terms: LaneTerms) -> None:
        intake = LaneIntake(terms)
        intake.take_offer(offer)
        async with AsyncExitStack() as stack:
            with _hoster_at_fault():
                hoster = await stack.enter_async_context(self._dialer.open(terms.hoster))
                await hoster.send(offer)

            async def forward(chunk: Chunk, opened: bytes) -> None:
                with _hoster_at_fault():
                    await _send_or_hear_why(hoster, chunk)

            encoder_key = self._signing_key(terms.encoder)
            sealed, commitment = await receive_lane(stream, intake, self._pool, encoder_key, forward)
            with _hoster_at_fault():
                await _send_or_hear_why(hoster, sealed)
                stored = await hoster.receive(StoredFrame, within_seconds=limits.STORED_SECONDS)
                self._check_stored(stored, terms, commitment)
            setup.end(_result(terms.position, sealed, stored), terms.position)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hoster.end, Bye())
                nursery.start_soon(stream.end, Bye())

    def _check_stored(self, stored: StoredFrame, terms: LaneTerms, commitment: LaneCommitment) -> None:
        place = (terms.genesis, terms.contract, terms.amendment, terms.position)
        if not is_commitment_signed(self._signing_key(terms.hoster), stored.hoster_signature, *place, commitment):
            raise LaneFault(FaultCode.BAD_SIGNATURE, "the hoster signed something else")

    def _signing_key(self, user_id: int) -> bytes:
        user = self._market.user(user_id)
        if user is None:
            raise LaneFault(FaultCode.OVER, f"user {user_id} is gone")
        return user.signing_key

    async def _give_up_in_time(self, deadline: int, scope: trio.CancelScope) -> None:
        await self._clock.reached(deadline - limits.REPORT_MARGIN_BLOCKS)
        scope.cancel()

    async def _report(self, setup: _Setup) -> None:
        arguments = {"amendment": setup.amendment, "results": setup.results()}
        call = RuntimeCall(PALLET, "amendment_report", arguments)
        backoff = Backoff()
        while True:
            try:
                receipt = await self._market.chain.submit(call, self._identity.account)
                break
            except SubmitFailed as error:
                # Tried again here and not as a new duty, which would have forgotten how the lanes ended.
                log.warning("the report on amendment %d did not go out: %s", setup.amendment, error)
                await trio.sleep(backoff.next_pause())
        if receipt.error is not None:
            log.error("the report on amendment %d was refused: %s", setup.amendment, receipt.error)


async def _send_or_hear_why(hoster: LaneStream, frame: Chunk | Sealed) -> None:
    """Send; a hoster that gave up has usually said why before it closed."""
    try:
        await hoster.send(frame)
    except PeerUnreachable:
        await hoster.receive(StoredFrame, within_seconds=1.0)
        raise


def _result(position: int, sealed: Sealed, stored: StoredFrame) -> Stored:
    return Stored(
        position=position,
        root=sealed.root,
        leaves=sealed.leaf_count,
        encoded_bytes=sealed.total_bytes,
        key_hash=sealed.key_hash,
        encoder_signature=sealed.encoder_signature,
        hoster_signature=stored.hoster_signature,
    )
