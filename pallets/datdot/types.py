"""The entities that the market stores and changes. Times are block numbers, amounts planck, sizes bytes, shares ppm
(millionths). Item ids count from 1 in one space for all kinds; what never changes is in `components`.
"""

import enum
from dataclasses import dataclass
from typing import Annotated

from pallets.balances.types import HoldReason
from runtime.types import H256, U8, U16, U32, U64, U128, AccountId, Bool, Bytes32, MaxLength

ItemId = U64
BlockNumber = U32
Ppm = U32

LIST_BOUND = 64
RANGES_BOUND = 1_024
CONTRACTS_BOUND = 65_536
POSITIONS_BOUND = 3
TASKS_BOUND = 1_024
CHECKS_BOUND = 1_024

Ids = Annotated[tuple[ItemId, ...], MaxLength(LIST_BOUND)]
Range = tuple[U64, U64]
"""First and last chunk, both included."""
Ranges = Annotated[tuple[Range, ...], MaxLength(RANGES_BOUND)]
Positions = Annotated[tuple[U8, ...], MaxLength(POSITIONS_BOUND)]
Seats = Annotated[tuple[ItemId | None, ...], MaxLength(LIST_BOUND)]
"""User ids of an amendment in order; none where somebody is still to be drawn."""


class DatDotHold(enum.Enum):
    """Why this pallet holds a part of a balance."""

    PLAN_ESCROW = "What the sponsor of a plan has set aside to pay for it."


@dataclass(frozen=True)
class DatDot(HoldReason, index=20, unnamed=True):
    """Held by the hosting market."""

    reason: DatDotHold


PLAN_ESCROW = DatDot(DatDotHold.PLAN_ESCROW)


class Role(enum.Enum):
    """What a provider does; the values enter draws."""

    ENCODER = 0
    HOSTER = 1
    ATTESTOR = 2


@dataclass(frozen=True)
class Prices:
    """Planck: hosting per chunk and block; encoding per chunk; attesting per chunk and lane; a storage check per lane;
    a performance check per hoster. In a plan what is paid, in a form the least that is accepted."""

    hosting: U128
    encoding: U128
    attesting: U128
    storage_check: U128
    performance_check: U128


# --- users and their work -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """An account known to the market: the noise key dials it, the signing key (ed25519) signs its statements."""

    account: AccountId
    noise_key: Bytes32
    signing_key: Bytes32
    form: ItemId | None
    storage: U64
    """Bytes offered by the form."""
    created: BlockNumber


@dataclass(frozen=True)
class RoleData:
    """A user in one role: jobs that it takes at once, jobs that it has, and its seat in the idle pool (none: full)."""

    capacity: U32
    used: U32
    seat: U32 | None


@dataclass(frozen=True)
class PoolEntry:
    """A provider with a free slot, and the block since which it has been in the pool."""

    user: ItemId
    joined: BlockNumber


@dataclass(frozen=True)
class Task:
    """A reservation: what a user does for an amendment, and the bytes set aside for it."""

    amendment: ItemId
    role: Role
    storage: U64


@dataclass(frozen=True)
class Bookings:
    """All reservations of a user and the sum of their bytes."""

    storage: U64
    tasks: Annotated[tuple[Task, ...], MaxLength(TASKS_BOUND)]


# --- feeds and plans ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeedHead:
    """A signed state of a feed: blocks, bytes, and the hash that the author signed."""

    length: U64
    byte_length: U64
    tree_hash: H256


@dataclass(frozen=True)
class Feed:
    """A Hypercore: its key, who made it known, its fork and the newest head proven to the chain."""

    key: Bytes32
    discovery: Bytes32
    publisher: ItemId
    fork: U64
    head: FeedHead


@dataclass(frozen=True)
class ProgramEntry:
    """Datasets and the conditions under which they are hosted; no region and no performance means any."""

    datasets: Ids
    regions: Ids
    performances: Ids


class PlanState(enum.Enum):
    """Where a plan stands; `lifecycle` has the table."""

    SCHEDULED = 0
    RUNNING = 1
    CLOSING = 2
    ENDED = 3


@dataclass(frozen=True)
class Plan:
    """An order: host the program's datasets from block `from` until block `until` at these prices."""

    sponsor: ItemId
    from_: BlockNumber
    until: BlockNumber
    program: Annotated[tuple[ProgramEntry, ...], MaxLength(LIST_BOUND)]
    prices: Prices
    contracts: Annotated[tuple[ItemId, ...], MaxLength(CONTRACTS_BOUND)]
    state: PlanState


@dataclass(frozen=True)
class PlanFunds:
    """A plan's money: what is left in escrow, the part that setups may still spend, and contracts not yet over."""

    escrow: U128
    setup_budget: U128
    open_contracts: U32


# --- contracts and amendments -------------------------------------------------------------------------------------


class ContractState(enum.Enum):
    """Where a contract stands; `lifecycle` has the table."""

    PENDING = 0
    QUEUED = 1
    SETTING_UP = 2
    HOSTED = 3
    DEGRADED = 4
    CLOSING = 5
    ENDED = 6


@dataclass(frozen=True)
class Position:
    """A live lane: who stores it, who sealed it under which amendment, what both signed, and how it is settled.

    `since` is the last settled block, `misses` counts challenges missed in a row, `proven` tells that one was passed.
    """

    hoster: ItemId
    encoder: ItemId
    amendment: ItemId
    root: H256
    leaves: U64
    encoded_bytes: U64
    key_hash: H256
    since: BlockNumber
    misses: U8
    proven: Bool


@dataclass(frozen=True)
class Contract:
    """Up to `ContractSetSize` chunks of one feed, and the positions at which they are hosted."""

    plan: ItemId
    feed: ItemId
    entry: U16
    ranges: Ranges
    chunks: U32
    head_length: U64
    positions: Annotated[tuple[Position | None, ...], MaxLength(POSITIONS_BOUND)]
    amendments: Annotated[tuple[ItemId, ...], MaxLength(256)]
    state: ContractState


class AmendmentKind(enum.Enum):
    """Why providers are chosen; a lower value is served first."""

    REPLACEMENT = 0
    RETRY = 1
    SETUP = 2


class AmendmentState(enum.Enum):
    """Where an amendment stands; `lifecycle` has the table."""

    INIT = 0
    DRAWING = 1
    QUEUED = 2
    RUNNING = 3
    DONE = 4
    DONE_PARTIAL = 5
    FAILED = 6
    TIMED_OUT = 7
    SUPERSEDED = 8


@dataclass(frozen=True)
class Freeze:
    """The moment of a draw: its randomness comes from the slots after `slot`; who came in `block` or later is out."""

    slot: U64
    block: BlockNumber


@dataclass(frozen=True)
class Amendment:
    """One attempt to set up positions of a contract. Encoders and hosters stand in the order of `positions`.

    `shunned` are providers of the attempt before that did not deliver: they are drawn only if few others are there.
    """

    contract: ItemId
    kind: AmendmentKind
    positions: Positions
    encoders: Seats
    hosters: Seats
    attestors: Seats
    shunned: Ids
    retries: U8
    state: AmendmentState
    created: BlockNumber
    freeze: Freeze | None
    seed: H256 | None
    deadline: BlockNumber | None


# --- storage challenges -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaneRef:
    """A live lane of a hoster as challenges see it."""

    contract: ItemId
    position: U8
    amendment: ItemId
    encoded_bytes: U64
    started: BlockNumber


@dataclass(frozen=True)
class Check:
    """A leaf that a hoster must show."""

    contract: ItemId
    position: U8
    amendment: ItemId
    leaf: U64


Checks = Annotated[tuple[Check, ...], MaxLength(CHECKS_BOUND)]


@dataclass(frozen=True)
class Hosting:
    """A hoster's proofs: its lanes in order of (contract, position), leaves it still owes, and its challenges.

    `challenge` is the challenge over all lanes while there is one, `waiting` tells that the next one stands in the
    calendar, `closing` are the last challenges of lanes that end, `settled` is the one kept after it was settled.
    """

    lanes: Annotated[tuple[LaneRef, ...], MaxLength(TASKS_BOUND)]
    owed: Checks
    challenge: ItemId | None
    waiting: Bool
    closing: Annotated[tuple[ItemId, ...], MaxLength(TASKS_BOUND)]
    settled: ItemId | None


class ChallengeState(enum.Enum):
    """Where a storage challenge stands; `lifecycle` has the table."""

    DRAWING = 0
    OPEN = 1
    PASSED = 2
    MISSED = 3
    VOID = 4


@dataclass(frozen=True)
class StorageChallenge:
    """Leaves asked of a hoster. `closing` is the one lane that a closing challenge settles; others settle all lanes."""

    hoster: ItemId
    closing: LaneRef | None
    freeze: Freeze
    seed: H256 | None
    checks: Checks
    answered: Annotated[tuple[Bool, ...], MaxLength(CHECKS_BOUND)]
    opened: BlockNumber | None
    deadline: BlockNumber | None
    state: ChallengeState


@dataclass(frozen=True)
class PerformanceChallenge:
    """A measurement of delivery: the feed read, the hosters measured, the attestors that measure."""

    feed: ItemId
    hosters: Ids
    attestors: Ids
    opened: BlockNumber
