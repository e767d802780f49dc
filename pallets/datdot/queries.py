"""What the programs off chain ask of the market: what a user has to do now, and where the chunks of a contract are.

Everything is rebuilt from the state of one block, so a service that restarts asks once and goes on. The functions that
take a Market read the state it is bound to (`with runtime.at(view):`); the others are pure.

    duties_of             running setups, live lanes and open challenges of a user, O(duties of that user)
    position_of           which position a user has in an amendment
    contracts.chunk_at    the feed's chunk that is the k-th chunk of a contract
    contracts.chunk_numbers  all of them, in the order in which they are sealed
    rewards.required_escrow  the least deposit of a plan
    messages, sealing.commitment_message  what users sign
"""

from dataclasses import dataclass

from pallets.datdot.contracts import chunk_at, chunk_numbers
from pallets.datdot.messages import NOISE_KEY_DOMAIN, SIGNING_KEY_DOMAIN, key_proof_message
from pallets.datdot.rewards import Escrow, default_prices, required_escrow
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    Amendment,
    AmendmentState,
    ChallengeState,
    ItemId,
    LaneRef,
    Role,
    StorageChallenge,
)

__all__ = [
    "NOISE_KEY_DOMAIN",
    "SIGNING_KEY_DOMAIN",
    "Duties",
    "Escrow",
    "SetupDuty",
    "chunk_at",
    "chunk_numbers",
    "default_prices",
    "duties_of",
    "key_proof_message",
    "position_of",
    "required_escrow",
]


@dataclass(frozen=True)
class SetupDuty:
    """A part in a running amendment; attestors have no position of their own, they see all of them."""

    amendment_id: ItemId
    amendment: Amendment
    role: Role
    position: int | None


@dataclass(frozen=True)
class Duties:
    """All that a user owes now: setups to do, lanes to keep and serve, challenges (by id) to answer."""

    setups: tuple[SetupDuty, ...]
    lanes: tuple[LaneRef, ...]
    challenges: tuple[tuple[ItemId, StorageChallenge], ...]


def duties_of(market: Market, user_id: int) -> Duties:
    """What a user owes in the bound state; nothing for an unknown user."""
    setups = []
    for task in market.bookings.get(user_id).tasks:
        amendment = market.amendment_by_id.get(task.amendment)
        if amendment is not None and amendment.state is AmendmentState.RUNNING:
            position = position_of(amendment, task.role, user_id)
            setups.append(SetupDuty(task.amendment, amendment, task.role, position))
    state = market.hosting.get(user_id)
    known = (*state.closing, *(() if state.challenge is None else (state.challenge,)))
    challenges = [(challenge_id, market.challenge(challenge_id)) for challenge_id in sorted(known)]
    closing = [challenge.closing for _, challenge in challenges if challenge.closing is not None]
    lanes = sorted((*state.lanes, *closing), key=lambda lane: (lane.contract, lane.position))
    still_open = tuple(pair for pair in challenges if pair[1].state is ChallengeState.OPEN)
    return Duties(tuple(setups), tuple(lanes), still_open)


def position_of(amendment: Amendment, role: Role, user_id: int) -> int | None:
    """The contract's position at which a user encodes or hosts in an amendment; None for attestors and strangers."""
    seats = {Role.ENCODER: amendment.encoders, Role.HOSTER: amendment.hosters, Role.ATTESTOR: ()}[role]
    return amendment.positions[seats.index(user_id)] if user_id in seats else None
