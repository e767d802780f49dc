"""Lane streams that others open to one account: greet, read the offer, and hand the stream to the role it is for."""

from __future__ import annotations

import logging
from collections import Counter

from node.net.identity import InvalidPeerId, noise_key_of
from node.roles import limits
from node.roles.attestor import Attestor
from node.roles.hoster import Hoster
from node.roles.lane_protocol import Fault, FaultCode, Hello, LaneFault, Offer, RemoteFault
from node.roles.lane_stream import Frames, LaneStream, PeerUnreachable, check_hello, hello_of
from node.roles.market_view import LaneTerms, MarketView
from pallets.datdot.types import AmendmentState

log = logging.getLogger(__name__)

UNDER_WAY = (AmendmentState.INIT, AmendmentState.DRAWING, AmendmentState.QUEUED, AmendmentState.RUNNING)


class LaneServer:
    """Answers lane streams. Who may do what follows from the chain alone."""

    def __init__(self, market: MarketView, user_id: int, attestor: Attestor, hoster: Hoster) -> None:
        self._market = market
        self._user_id = user_id
        self._attestor = attestor
        self._hoster = hoster
        self._open_streams: Counter[str] = Counter()

    async def handle(self, frames: Frames, peer_id: str) -> None:
        """Serve one stream to its end; the peer is told why when it is refused."""
        stream = LaneStream(frames)
        self._open_streams[peer_id] += 1
        try:
            self._check_room(peer_id)
            await self._serve(stream, peer_id)
        except LaneFault as fault:
            log.info("lane stream of %s refused: %s", peer_id, fault)
            await stream.end(Fault(fault.code))
        except (PeerUnreachable, RemoteFault) as error:
            log.info("lane stream of %s ended: %s", peer_id, error)
        except Exception:
            # Our own failure, a broken disk say: this lane must not take the others with it.
            log.exception("lane stream of %s failed", peer_id)
            await stream.end(Fault(FaultCode.INTERNAL))
        finally:
            self._open_streams[peer_id] -= 1
            if not self._open_streams[peer_id]:
                del self._open_streams[peer_id]

    def _check_room(self, peer_id: str) -> None:
        """Refuse strangers before they are waited for, and a peer that takes the streams of all others."""
        try:
            is_user = self._market.user_id_by_noise_key(noise_key_of(peer_id)) is not None
        except InvalidPeerId:
            is_user = False
        if not is_user:
            raise LaneFault(FaultCode.NOT_ASSIGNED, "the peer is no user of the market")
        if self._open_streams[peer_id] > limits.LANE_STREAMS_PER_PEER:
            raise LaneFault(FaultCode.BUSY, f"{limits.LANE_STREAMS_PER_PEER} lane streams of the peer are open")
        if self._open_streams.total() > limits.LANE_STREAMS_PER_ACCOUNT:
            raise LaneFault(FaultCode.BUSY, f"{limits.LANE_STREAMS_PER_ACCOUNT} lane streams are open")

    async def _serve(self, stream: LaneStream, peer_id: str) -> None:
        hello = await stream.receive(Hello, within_seconds=limits.GREETING_SECONDS)
        remote = check_hello(hello, peer_id, self._market)
        await stream.send(hello_of(self._market, self._user_id))
        offer = await stream.receive(Offer, within_seconds=limits.GREETING_SECONDS)
        terms = self._terms(offer)
        if remote == terms.encoder and self._user_id in terms.attestors:
            await self._attestor.accept(stream, offer, terms)
        elif remote in terms.attestors and self._user_id == terms.hoster:
            await self._hoster.accept(stream, offer, terms)
        else:
            raise LaneFault(FaultCode.NOT_ASSIGNED, f"user {remote} has no part in {terms} that concerns us")

    def _terms(self, offer: Offer) -> LaneTerms:
        terms = self._market.lane_terms(offer.amendment, offer.position)
        if terms is not None:
            return terms
        amendment = self._market.amendment(offer.amendment)
        is_over = amendment is not None and amendment.state not in UNDER_WAY
        code = FaultCode.OVER if is_over else FaultCode.NOT_ASSIGNED
        raise LaneFault(code, f"lane {offer.amendment}/{offer.position} is not being set up")
