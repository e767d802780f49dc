"""Offers and wishes: components, which never change once stored and are stored once, and the inputs that carry them.

An input names a component by a reference: a positive number is the id of a stored component, a negative one counts the
components of the same kind that come with the call, -1 being the first. Times are block numbers, prices planck, sizes
bytes, shares ppm (millionths).
"""

from dataclasses import dataclass
from typing import Annotated

from pallets.datdot.types import LIST_BOUND, BlockNumber, Ids, ItemId, Ppm, Prices, Ranges, Role
from runtime.types import H256, I64, U8, U16, U32, U64, Bytes32, MaxLength, Signature64, Variant

GEOHASH_BOUND = 9
HEAD_PROOF_BOUND = 16_384
SIZES_PROOF_BOUND = 65_536
SIZES_PROOFS_BOUND = 256

Reference = I64
References = Annotated[tuple[Reference, ...], MaxLength(LIST_BOUND)]


@dataclass(frozen=True)
class Timetable:
    """Hours of activity: `duration` blocks, first after `delay`, again after every further `interval`, `repeat` times
    (none: for ever). Without an interval there is a single window."""

    delay: U32
    duration: U32
    interval: U32 | None
    repeat: U32 | None


@dataclass(frozen=True)
class Region:
    """A lower-case geohash of at most nine letters; the empty one is the whole world."""

    geohash: Annotated[str, MaxLength(GEOHASH_BOUND)]


@dataclass(frozen=True)
class Performance:
    """What is promised or wanted: share of time online (ppm), bandwidth (bit/s) and latency (milliseconds)."""

    availability: Ppm
    bandwidth: U64
    latency_ms: U32


@dataclass(frozen=True)
class Resources:
    """What a provider gives: storage (bytes), upload and download (bit/s)."""

    storage: U64
    upload: U64
    download: U64


@dataclass(frozen=True)
class Dataset:
    """Chunks of a feed, as sorted ranges that neither overlap nor touch."""

    feed: ItemId
    ranges: Ranges


@dataclass(frozen=True)
class Form:
    """A provider's offer. `timetables` empty: always; `regions` empty: the whole world."""

    from_: BlockNumber
    until: BlockNumber | None
    timetables: Ids
    regions: Ids
    performances: Ids
    resources: ItemId
    ask: Prices


# --- inputs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeedInput:
    """A feed's key and the signed head that proves it (an encoded head proof)."""

    key: Bytes32
    head_proof: Annotated[bytes, MaxLength(HEAD_PROOF_BOUND)]


@dataclass(frozen=True)
class DatasetInput:
    """Ranges of a feed in any order, and encoded proofs, of up to 1,024 chunks each, that no chunk is too large."""

    feed: Reference
    ranges: Ranges
    sizes_proofs: Annotated[tuple[Annotated[bytes, MaxLength(SIZES_PROOF_BOUND)], ...], MaxLength(SIZES_PROOFS_BOUND)]


@dataclass(frozen=True)
class Components:
    """What comes with a call, to be referred to by negative numbers; what is stored already is found again."""

    feeds: Annotated[tuple[FeedInput, ...], MaxLength(LIST_BOUND)] = ()
    datasets: Annotated[tuple[DatasetInput, ...], MaxLength(LIST_BOUND)] = ()
    timetables: Annotated[tuple[Timetable, ...], MaxLength(LIST_BOUND)] = ()
    regions: Annotated[tuple[Region, ...], MaxLength(LIST_BOUND)] = ()
    performances: Annotated[tuple[Performance, ...], MaxLength(LIST_BOUND)] = ()
    resources: Annotated[tuple[Resources, ...], MaxLength(LIST_BOUND)] = ()


@dataclass(frozen=True)
class FormInput:
    """A provider's offer as it is sent; without `from` it holds from now on."""

    from_: BlockNumber | None
    until: BlockNumber | None
    timetables: References
    regions: References
    performances: References
    resources: Reference
    ask: Prices


@dataclass(frozen=True)
class RoleOffer:
    """A role and how many jobs in it are taken at once; a capacity of 0 leaves the role."""

    role: Role
    capacity: U32


@dataclass(frozen=True)
class ProgramInput:
    """Datasets and the conditions under which they are to be hosted."""

    datasets: References
    regions: References
    performances: References


@dataclass(frozen=True)
class PlanInput:
    """An order as it is sent; without `from` it starts in the next block, without prices at the default ones."""

    from_: BlockNumber | None
    until: BlockNumber
    program: Annotated[tuple[ProgramInput, ...], MaxLength(LIST_BOUND)]
    prices: Prices | None


@dataclass(frozen=True)
class KeyProofs:
    """ed25519 signatures, by the noise key and by the signing key, over `key_proof_message`."""

    noise: Signature64
    signing: Signature64


class PositionResult(Variant):
    """What became of one position of an amendment."""

    position: int


@dataclass(frozen=True)
class Stored(PositionResult):
    """The lane is sealed and stored: encoder and hoster signed the same commitment."""

    position: U8
    root: H256
    leaves: U64
    encoded_bytes: U64
    key_hash: H256
    encoder_signature: Signature64
    hoster_signature: Signature64


@dataclass(frozen=True)
class NotStored(PositionResult):
    """The lane is missing; `code` says why, `suspect` whom the attestor blames. Blame alone costs nobody anything."""

    position: U8
    code: U8
    suspect: ItemId | None


@dataclass(frozen=True)
class LeafEvidence:
    """The answer to check number `check`: the leaf's bytes (1 to 1,024) and its siblings from below."""

    check: U16
    leaf: Annotated[bytes, MaxLength(1_024)]
    path: Annotated[tuple[H256, ...], MaxLength(64)]
