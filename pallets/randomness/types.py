"""What the randomness pallet stores and reads from headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runtime.header import Consensus
from runtime.types import H256, U32, U64, type_path

ONION_ENGINE = b"dton"
"""Engine of the digest item that carries an `OnionReveal`."""


def onion_item(reveal: bytes) -> Consensus:
    """Return the digest item that carries an encoded `OnionReveal`.

    Not PreRuntime, although the author makes it: clients look there for the author of the block, and some refuse an
    engine that they do not know.
    """
    return Consensus(ONION_ENGINE, reveal)


@dataclass(frozen=True)
class OnionCommitment:
    """A promise: the tip of the onion that an authority will peel in one epoch."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_randomness::types::OnionCommitment")
    epoch: U64
    tip: H256


@dataclass(frozen=True)
class OnionReveal:
    """The digest of a block: the layer of its slot, if the author has an onion, and a new commitment, if one is due."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_randomness::types::OnionReveal")
    layer: H256 | None
    next: OnionCommitment | None


@dataclass(frozen=True)
class Onion:
    """How far an onion is peeled: hashing a layer of offset k, `k + 1 - peeled` times gives `value`."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_randomness::types::Onion")
    epoch: U64
    peeled: U32
    value: H256


@dataclass(frozen=True)
class Reveal:
    """A layer that was revealed, and its slot."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_randomness::types::Reveal")
    slot: U64
    layer: H256


@dataclass(frozen=True)
class OnionDuty:
    """What an author's block must carry: the layer at `offset` of `epoch`, and the epoch to commit to, if any."""

    epoch: int
    offset: int
    reveals: bool
    commits_epoch: int | None
