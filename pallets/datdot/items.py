"""What an id stands for: entities are named by kind and live in maps of their own, components carry their value."""

from dataclasses import dataclass
from typing import ClassVar

from pallets.datdot import components
from runtime.types import Variant, type_path


class Item(Variant):
    """Anything that has an id."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_datdot::Item")


@dataclass(frozen=True)
class User(Item):
    """A user: see GetUserByID."""


@dataclass(frozen=True)
class Feed(Item):
    """A feed: see GetFeedByID."""


@dataclass(frozen=True)
class Plan(Item):
    """A plan: see GetPlanByID."""


@dataclass(frozen=True)
class Contract(Item):
    """A contract: see GetContractByID."""


@dataclass(frozen=True)
class Amendment(Item):
    """An amendment: see GetAmendmentByID."""


@dataclass(frozen=True)
class StorageChallenge(Item):
    """A storage challenge: see GetStorageChallengeByID."""


@dataclass(frozen=True)
class Form(Item, unnamed=True):
    """A provider's offer."""

    value: components.Form


@dataclass(frozen=True)
class Dataset(Item, unnamed=True):
    """Chunks of a feed."""

    value: components.Dataset


@dataclass(frozen=True)
class Timetable(Item, unnamed=True):
    """Hours of activity."""

    value: components.Timetable


@dataclass(frozen=True)
class Region(Item, unnamed=True):
    """A place."""

    value: components.Region


@dataclass(frozen=True)
class Performance(Item, unnamed=True):
    """A promised or wanted performance."""

    value: components.Performance


@dataclass(frozen=True)
class Resources(Item, unnamed=True):
    """What a provider gives."""

    value: components.Resources


Component = Form | Dataset | Timetable | Region | Performance | Resources
