"""Getting chunks of a feed from whoever serves it: its sponsor, its publisher, and those who host it already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypercore.errors import HypercoreError
from hypercore.io.core import Core
from hypercore.io.replication import Replication, ReplicationTimeout, open_replication
from hypercore.proof import SignedHead, create_block_proof, encode_block_proof
from node.roles import limits
from node.roles.lane_stream import AddressDirectory
from node.roles.market_view import LaneTerms, MarketView
from pallets.datdot.contracts import normalise

Endpoint = tuple[str, int]


class FetchFailed(Exception):
    """No source delivered the chunks; the text says what was tried. Trying again later may succeed."""


@dataclass(frozen=True)
class FetchedChunk:
    """A chunk with its encoded proof against the head on the chain."""

    content: bytes
    proof: bytes


@dataclass(frozen=True)
class FetchedLane:
    """The chunks of a contract in their order, and the encoded proof of the feed's head."""

    chunks: tuple[FetchedChunk, ...]
    head_proof: bytes


class Fetcher:
    """Fetches over hypercore replication from endpoints that users announce; blocks are checked against the chain."""

    def __init__(self, market: MarketView, directory: AddressDirectory) -> None:
        self._market = market
        self._directory = directory

    def sources(self, terms: LaneTerms) -> list[Endpoint]:
        """Endpoints that may have the chunks: of sponsor and publisher, then of those who host the contract already."""
        contract, feed = self._market.contract(terms.contract), self._market.feed(terms.feed)
        plan = self._market.plan(contract.plan) if contract is not None else None
        users = [*([plan.sponsor] if plan else []), *([feed.publisher] if feed else [])]
        users += self._market.hosters_of(terms.contract)
        return self.endpoints_of(users)

    def endpoints_of(self, users: Sequence[int]) -> list[Endpoint]:
        """The hypercore endpoints of users, as far as they are known, each once."""
        endpoints: dict[Endpoint, None] = {}
        for user_id in dict.fromkeys(users):
            user = self._market.user(user_id)
            record = self._directory.lookup(user.noise_key) if user is not None else None
            if record is not None and record.hypercore is not None:
                endpoints[record.hypercore] = None
        return list(endpoints)

    async def fetch(self, terms: LaneTerms) -> FetchedLane:
        """The chunks of a lane from one source after another; raises FetchFailed."""
        problems = []
        for endpoint in self.sources(terms):
            try:
                return await fetch_chunks(terms.feed_key, terms.head, terms.chunks, endpoint)
            except (FetchFailed, HypercoreError, OSError) as error:
                problems.append(f"{endpoint[0]}:{endpoint[1]}: {error}")
        raise FetchFailed(f"{terms}: no source has the chunks: {'; '.join(problems) or 'no address is known'}")


async def fetch_chunks(key: bytes, head: SignedHead, chunks: Sequence[int], endpoint: Endpoint) -> FetchedLane:
    """Chunks of a feed from one endpoint, in memory, with proofs against exactly this head.

    Raises FetchFailed when the endpoint does not have them or is at another head, ConnectFailed when it is not there.
    """
    with Core.open(None, key) as core:
        async with open_replication() as replication:
            await replication.connect(*endpoint)
            try:
                await replication.update(core, head.length, timeout_seconds=limits.GREETING_SECONDS)
                check_head(core, head)
                await _download(replication, core, chunks)
            except ReplicationTimeout as error:
                raise FetchFailed(str(error)) from error
        check_head(core, head)
        view = core.view()
        fetched = tuple(
            FetchedChunk(core.get(index), encode_block_proof(create_block_proof(view, index))) for index in chunks
        )
        return FetchedLane(fetched, core.head_proof())


def check_head(core: Core, head: SignedHead) -> None:
    """Raise FetchFailed unless the copy stands at this head."""
    if core.signed_head() != head:
        raise FetchFailed(
            f"it is at {core.length} blocks of fork {core.fork}, the chain knows {head.length} of fork {head.fork}"
        )


async def _download(replication: Replication, core: Core, chunks: Sequence[int]) -> None:
    for first, last in normalise(((index, index) for index in chunks), core.length):
        await replication.download(core, first, last + 1, timeout_seconds=limits.FETCH_SECONDS)
