"""What services read of the market: typed entities of the chain's state, always at its best block.

Nothing is remembered between blocks: what a provider has to do follows from the state alone, so that a restart, a
reorganisation and a missed event make no difference.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from hypercore.proof import SignedHead
from node.client.chain import BlockEvents, FollowedChain
from pallets.datdot.contracts import chunk_numbers
from pallets.datdot.types import (
    Amendment,
    AmendmentState,
    Bookings,
    ChallengeState,
    Contract,
    Feed,
    Hosting,
    Plan,
    Position,
    Role,
    StorageChallenge,
    User,
)

PALLET = "DatDot"


@dataclass(frozen=True)
class LaneTerms:
    """Everything that encoder, attestor and hoster of one lane must agree on, as the chain tells it."""

    genesis: bytes
    contract: int
    amendment: int
    position: int
    feed: int
    feed_key: bytes
    head: SignedHead
    chunks: tuple[int, ...]
    seal_key_bits: int
    encoder: int
    hoster: int
    attestors: tuple[int, ...]
    deadline: int

    def __str__(self) -> str:
        return f"lane {self.amendment}/{self.position}"


@dataclass(frozen=True, order=True)
class LaneId:
    """A lane by its numbers."""

    contract: int
    amendment: int
    position: int


class MarketView:
    """Reads of the DatDot pallet through a FollowedChain; ids that do not exist give None."""

    def __init__(self, chain: FollowedChain) -> None:
        self.chain = chain
        self.genesis_hash = chain.genesis_hash

    @asynccontextmanager
    async def blocks(self) -> AsyncIterator[AsyncIterator[BlockEvents]]:
        """The best chain from now on; following it ends with the block of code."""
        following = self.chain.blocks()
        try:
            yield following
        finally:
            if isinstance(following, AsyncGenerator):
                await following.aclose()

    def user_id(self, account: bytes) -> int | None:
        """The user of an account."""
        return cast("int | None", self.chain.query(PALLET, "GetUserIDByAccount", account))

    def user_id_by_noise_key(self, noise_key: bytes) -> int | None:
        """The user that a peer id belongs to."""
        return cast("int | None", self.chain.query(PALLET, "GetUserIDByNoiseKey", noise_key))

    def user(self, user_id: int) -> User | None:
        """A user."""
        return cast("User | None", self.chain.query(PALLET, "GetUserByID", user_id))

    def amendment(self, amendment_id: int) -> Amendment | None:
        """An amendment."""
        return cast("Amendment | None", self.chain.query(PALLET, "GetAmendmentByID", amendment_id))

    def contract(self, contract_id: int) -> Contract | None:
        """A contract."""
        return cast("Contract | None", self.chain.query(PALLET, "GetContractByID", contract_id))

    def plan(self, plan_id: int) -> Plan | None:
        """A plan."""
        return cast("Plan | None", self.chain.query(PALLET, "GetPlanByID", plan_id))

    def feed(self, feed_id: int) -> Feed | None:
        """A feed."""
        return cast("Feed | None", self.chain.query(PALLET, "GetFeedByID", feed_id))

    def feed_id(self, key: bytes) -> int | None:
        """The feed with a key."""
        return cast("int | None", self.chain.query(PALLET, "GetFeedByKey", key))

    def challenge(self, challenge_id: int) -> StorageChallenge | None:
        """A storage challenge."""
        return cast("StorageChallenge | None", self.chain.query(PALLET, "GetStorageChallengeByID", challenge_id))

    def hosting(self, user_id: int) -> Hosting:
        """The live lanes of a hoster and its challenges."""
        return cast(Hosting, self.chain.query(PALLET, "HostingOf", user_id))

    def bookings(self, user_id: int) -> Bookings:
        """What a user has to do."""
        return cast(Bookings, self.chain.query(PALLET, "BookingsOf", user_id))

    def running(self, user_id: int, role: Role) -> Iterator[tuple[int, Amendment]]:
        """The amendments that are being set up now and in which a user has a role."""
        for task in self.bookings(user_id).tasks:
            amendment = self.amendment(task.amendment) if task.role is role else None
            if amendment is not None and amendment.state is AmendmentState.RUNNING:
                yield task.amendment, amendment

    def open_challenges(self, user_id: int) -> Iterator[tuple[int, StorageChallenge]]:
        """The storage challenges that a hoster may answer now."""
        hosting = self.hosting(user_id)
        current = () if hosting.challenge is None else (hosting.challenge,)
        for challenge_id in (*current, *hosting.closing):
            challenge = self.challenge(challenge_id)
            if challenge is not None and challenge.state is ChallengeState.OPEN:
                yield challenge_id, challenge

    def hosted_lanes(self, user_id: int) -> Iterator[LaneId]:
        """The lanes that a hoster must still be able to prove: live ones, and those in their last challenge."""
        hosting = self.hosting(user_id)
        for lane in hosting.lanes:
            yield LaneId(lane.contract, lane.amendment, lane.position)
        for challenge_id in hosting.closing:
            challenge = self.challenge(challenge_id)
            if challenge is not None and challenge.closing is not None:
                yield LaneId(challenge.closing.contract, challenge.closing.amendment, challenge.closing.position)

    def live_position(self, lane: LaneId) -> Position | None:
        """What the chain stores about a lane, None unless it is live."""
        contract = self.contract(lane.contract)
        position = contract.positions[lane.position] if contract is not None else None
        return position if position is not None and position.amendment == lane.amendment else None

    def lane_terms(self, amendment_id: int, position: int) -> LaneTerms | None:
        """The terms of a lane that is being set up now, None when it is not."""
        amendment = self.amendment(amendment_id)
        if amendment is None or amendment.state is not AmendmentState.RUNNING or position not in amendment.positions:
            return None
        contract = self.contract(amendment.contract)
        feed = self.feed(contract.feed) if contract is not None else None
        place = amendment.positions.index(position)
        encoder, hoster = amendment.encoders[place], amendment.hosters[place]
        if contract is None or feed is None or encoder is None or hoster is None or amendment.deadline is None:
            return None
        return LaneTerms(
            genesis=self.genesis_hash,
            contract=amendment.contract,
            amendment=amendment_id,
            position=position,
            feed=contract.feed,
            feed_key=feed.key,
            head=SignedHead(feed.head.length, feed.fork, feed.head.tree_hash, feed.head.byte_length),
            chunks=chunk_numbers(contract.ranges),
            seal_key_bits=cast(int, self.chain.constant(PALLET, "SealKeyBits")),
            encoder=encoder,
            hoster=hoster,
            attestors=tuple(user for user in amendment.attestors if user is not None),
            deadline=amendment.deadline,
        )

    def hosters_of(self, contract_id: int) -> tuple[int, ...]:
        """The users that host a contract now."""
        contract = self.contract(contract_id)
        positions = contract.positions if contract is not None else ()
        return tuple(position.hoster for position in positions if position is not None)
