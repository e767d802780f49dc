"""What the hosting market tells the world: events and errors. Users, plans, contracts … appear by their ids."""

import enum
from dataclasses import dataclass
from typing import Annotated

from pallets.datdot.types import AmendmentKind, ItemId, Role
from runtime.errors import PalletError
from runtime.events import Event
from runtime.types import U8, U32, U128, MaxLength


class DatDotEvent(Event):
    """Something happened in the hosting market."""


@dataclass(frozen=True)
class NewUser(DatDotEvent):
    """An account joined the market."""

    user: ItemId


@dataclass(frozen=True)
class Registered(DatDotEvent):
    """A user offers work in these roles, under this form."""

    user: ItemId
    form: ItemId
    roles: Annotated[tuple[Role, ...], MaxLength(3)]


@dataclass(frozen=True)
class NewFeed(DatDotEvent):
    """A feed became known with a signed head."""

    feed: ItemId


@dataclass(frozen=True)
class NewPlan(DatDotEvent):
    """A plan was published and its escrow is held."""

    plan: ItemId
    sponsor: ItemId


@dataclass(frozen=True)
class NewContract(DatDotEvent):
    """A plan got a contract."""

    contract: ItemId
    plan: ItemId


@dataclass(frozen=True)
class PlanStarted(DatDotEvent):
    """A plan's time has come: its contracts are being set up."""

    plan: ItemId


@dataclass(frozen=True)
class NewAmendment(DatDotEvent):
    """Providers were chosen and booked; the setup runs."""

    amendment: ItemId
    contract: ItemId
    kind: AmendmentKind


@dataclass(frozen=True)
class AmendmentQueued(DatDotEvent):
    """No free providers fit; the amendment waits until that may have changed."""

    amendment: ItemId
    contract: ItemId


@dataclass(frozen=True)
class HostingStarted(DatDotEvent):
    """A hoster stores its copy and is asked for proofs from now on."""

    contract: ItemId
    hoster: ItemId
    amendment: ItemId


@dataclass(frozen=True)
class SetupFailed(DatDotEvent):
    """Positions of an amendment were not set up, with the reported codes (255: not reported)."""

    amendment: ItemId
    contract: ItemId
    codes: Annotated[tuple[tuple[U8, U8], ...], MaxLength(3)]


@dataclass(frozen=True)
class AmendmentTimedOut(DatDotEvent):
    """The attestors of an amendment did not report in time."""

    amendment: ItemId
    contract: ItemId
    attestors: Annotated[tuple[ItemId, ...], MaxLength(64)]


@dataclass(frozen=True)
class NewStorageChallenge(DatDotEvent):
    """A hoster must show leaves until the deadline, the last block in which an answer counts."""

    challenge: ItemId
    hoster: ItemId
    deadline: U32


@dataclass(frozen=True)
class ProofOfStorageConfirmed(DatDotEvent):
    """A hoster answered a storage challenge whole."""

    challenge: ItemId
    hoster: ItemId


@dataclass(frozen=True)
class ProofOfStorageFailed(DatDotEvent):
    """A storage challenge ended with leaves missing."""

    challenge: ItemId
    hoster: ItemId
    missing: U32


@dataclass(frozen=True)
class ChallengeMissed(DatDotEvent):
    """A lane was not proven: the time since its last settlement is not paid."""

    challenge: ItemId
    hoster: ItemId
    contract: ItemId
    position: U8
    misses: U8


@dataclass(frozen=True)
class Paid(DatDotEvent):
    """A plan paid a user for work in a role; the amount is what the user got."""

    plan: ItemId
    contract: ItemId
    user: ItemId
    role: Role
    amount: U128


@dataclass(frozen=True)
class DropHosting(DatDotEvent):
    """A hoster no longer stores the lane of this amendment."""

    amendment: ItemId
    contract: ItemId
    hoster: ItemId


@dataclass(frozen=True)
class PlanClosing(DatDotEvent):
    """A plan's time is over: every lane gets its last challenge."""

    plan: ItemId


@dataclass(frozen=True)
class PlanEnded(DatDotEvent):
    """The last contract of a plan is over."""

    plan: ItemId


@dataclass(frozen=True)
class Refunded(DatDotEvent):
    """What was left in a plan's escrow is the sponsor's again."""

    plan: ItemId
    sponsor: ItemId
    amount: U128


class DatDotError(PalletError):
    """Why a call of the hosting market failed."""

    UNKNOWN_USER = "The account is not a user of the market."
    DUPLICATE_USER = "The account is a user already."
    KEY_IN_USE = "A user with this noise or signing key exists."
    BAD_SIGNATURE = "A signature does not belong to the statement and the key."
    BAD_REFERENCE = "A reference names no component that comes with the call or is stored."
    WRONG_TYPE = "An id names an item of another kind."
    BAD_COMPONENT = "A component has a value outside of its range."
    BAD_RANGES = "A range is reversed, outside of its feed, or there is none."
    BAD_TIMES = "A time lies in the past or ends before it begins."
    BAD_PROOF = "A proof does not hold."
    LIMIT_EXCEEDED = "A list or number is larger than allowed."
    INSUFFICIENT_FUNDS = "The deposit is below what the plan requires, or above what the account has."
    BUSY = "The change would break a running obligation."
    MISSING_PLAN = "There is no such plan."
    MISSING_AMENDMENT = "There is no such amendment."
    MISSING_CHALLENGE = "There is no such storage challenge."
    NOT_ASSIGNED = "The user has no part in this."
    ALREADY_REPORTED = "The matter has been reported and settled."
    EXPIRED = "The deadline is over."
    TOO_EARLY = "It is not yet time for this."


class NotStoredCode(enum.IntEnum):
    """Codes with which an attestor says why a lane is missing."""

    ENCODER_SILENT = 1
    ENCODER_INVALID = 2
    HOSTER_SILENT = 3
    HOSTER_REFUSED = 4
    NOT_REPORTED = 255
