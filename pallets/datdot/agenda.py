"""What waits: the tasks of the calendar, and the lines; `waiting` puts them down and takes them up."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pallets.datdot.types import AmendmentKind, ItemId
from runtime.types import U32, U64, Variant


class Due(Variant):
    """A task of the calendar."""


@dataclass(frozen=True)
class EnqueueAmendment(Due):
    """The pause before a retry is over."""

    amendment: ItemId


@dataclass(frozen=True)
class TimeOutAmendment(Due):
    """The deadline of an amendment has passed."""

    amendment: ItemId


@dataclass(frozen=True)
class ChallengeHoster(Due):
    """A hoster is to be asked for proofs again."""

    hoster: ItemId


@dataclass(frozen=True)
class CloseChallenge(Due):
    """The deadline of a storage challenge has passed."""

    challenge: ItemId


@dataclass(frozen=True)
class StartContracts(Due):
    """The contracts of a plan from number `first` on are to be set up."""

    plan: ItemId
    first: U32


@dataclass(frozen=True)
class CloseContracts(Due):
    """The contracts of a plan from number `first` on are to be closed."""

    plan: ItemId
    first: U32


class Line(enum.Enum):
    """The lines. New amendments and those for which nobody was free wait apart, by kind; draws wait for randomness."""

    REPLACEMENTS = 0
    PARKED_REPLACEMENTS = 1
    RETRIES = 2
    PARKED_RETRIES = 3
    SETUPS = 4
    PARKED_SETUPS = 5
    SETUP_DRAWS = 6
    CHALLENGE_DRAWS = 7


FRESH_LINE = {
    AmendmentKind.REPLACEMENT: Line.REPLACEMENTS,
    AmendmentKind.RETRY: Line.RETRIES,
    AmendmentKind.SETUP: Line.SETUPS,
}
PARKED_LINE = {
    AmendmentKind.REPLACEMENT: Line.PARKED_REPLACEMENTS,
    AmendmentKind.RETRY: Line.PARKED_RETRIES,
    AmendmentKind.SETUP: Line.PARKED_SETUPS,
}
FRESH_ORDER = tuple(FRESH_LINE[kind] for kind in AmendmentKind)
PARKED_ORDER = tuple(PARKED_LINE[kind] for kind in AmendmentKind)
"""Repairs of hosted data first, then retries, then new contracts."""


@dataclass(frozen=True)
class Bounds:
    """Numbers of a line's first entry and of the one after its last; the first `tries` entries may be served now."""

    head: U64
    tail: U64
    tries: U64
