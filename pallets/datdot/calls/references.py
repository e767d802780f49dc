"""Components that come with a call: checking them, storing each only once, and resolving references to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypercore.errors import RemoteProtocolError
from hypercore.proof import SignedHead, decode_block_sizes_proof, verify_block_sizes
from pallets.datdot import contracts, items
from pallets.datdot.calls.feeds import publish_feed
from pallets.datdot.components import Components, Dataset, DatasetInput, Region, Timetable
from pallets.datdot.config import PPM
from pallets.datdot.events import DatDotError
from pallets.datdot.sealing import CHUNK_MAX_BYTES
from pallets.datdot.storage import Market
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.errors import ModuleError, ensure

GEOHASH_LETTERS = frozenset("0123456789bcdefghjkmnpqrstuvwxyz")


@dataclass(frozen=True)
class References:
    """Ids of the components that came with a call, by kind, in their order."""

    feeds: tuple[int, ...]
    datasets: tuple[int, ...]
    timetables: tuple[int, ...]
    regions: tuple[int, ...]
    performances: tuple[int, ...]
    resources: tuple[int, ...]


def store(market: Market, user_id: int, components: Components) -> References:
    """Check and store what came with a call of a user."""
    feeds = tuple(publish_feed(market, user_id, feed.key, feed.head_proof) for feed in components.feeds)
    for timetable in components.timetables:
        ensure(_is_timetable(timetable), DatDotError.BAD_COMPONENT)
    for region in components.regions:
        ensure(_is_region(region), DatDotError.BAD_COMPONENT)
    for performance in components.performances:
        ensure(performance.availability <= PPM, DatDotError.BAD_COMPONENT)
    return References(
        feeds,
        tuple(put_component(market, items.Dataset(_dataset(market, value, feeds))) for value in components.datasets),
        tuple(put_component(market, items.Timetable(value)) for value in components.timetables),
        tuple(put_component(market, items.Region(value)) for value in components.regions),
        tuple(put_component(market, items.Performance(value)) for value in components.performances),
        tuple(put_component(market, items.Resources(value)) for value in components.resources),
    )


def put_component(market: Market, item: items.Component) -> int:
    """The id of a component, a new one unless an equal one is stored."""
    digest = blake2_256(codec_for(items.Item).encode(item))
    known = market.component_by_hash.get(digest)
    if known is not None:
        return known
    item_id = market.new_id(item)
    market.component_by_hash.put(digest, item_id)
    return item_id


def resolve(market: Market, reference: int, local: Sequence[int], kind: type[items.Item]) -> int:
    """The id that a reference means: -1 is the first local component, a positive number a stored one of this kind."""
    if reference < 0:
        ensure(-reference <= len(local), DatDotError.BAD_REFERENCE)
        return local[-reference - 1]
    item = market.item_by_id.get(reference)
    ensure(item is not None, DatDotError.BAD_REFERENCE)
    ensure(isinstance(item, kind), DatDotError.WRONG_TYPE)
    return reference


def resolve_all(
    market: Market, references: Sequence[int], local: Sequence[int], kind: type[items.Item]
) -> tuple[int, ...]:
    """Resolve every reference of a list."""
    return tuple(resolve(market, reference, local, kind) for reference in references)


def check_conditions(market: Market, *lists: Sequence[int]) -> None:
    """Refuse lists of conditions that are too long: every draw compares the conditions of plan and candidates."""
    ensure(all(len(one) <= market.config.max_conditions for one in lists), DatDotError.LIMIT_EXCEEDED)


def _dataset(market: Market, value: DatasetInput, feeds: Sequence[int]) -> Dataset:
    """Normalise a dataset's ranges and check that each of its chunks is proven to be small enough to be sealed."""
    feed_id = resolve(market, value.feed, feeds, items.Feed)
    feed = market.feed_by_id.get(feed_id)
    assert feed is not None
    ensure(len(value.ranges) <= market.config.max_ranges_per_dataset, DatDotError.LIMIT_EXCEEDED)
    ensure(len(value.ranges) > 0, DatDotError.BAD_RANGES)
    try:
        ranges = contracts.normalise(value.ranges, feed.head.length)
    except contracts.BadRange:
        raise ModuleError(DatDotError.BAD_RANGES) from None
    sets = contracts.count_sets(ranges, market.config.contract_set_size)
    ensure(sets <= market.config.max_contracts_per_plan, DatDotError.LIMIT_EXCEEDED)
    head = SignedHead(feed.head.length, feed.fork, feed.head.tree_hash, feed.head.byte_length)
    proven = contracts.normalise((_proven(head, proof) for proof in value.sizes_proofs), feed.head.length)
    ensure(contracts.covers(proven, ranges), DatDotError.BAD_PROOF)
    return Dataset(feed_id, ranges)


def _proven(head: SignedHead, data: bytes) -> tuple[int, int]:
    """The chunks that a proof of sizes shows to be no larger than what can be sealed."""
    try:
        proof = decode_block_sizes_proof(data)
        verify_block_sizes(head, proof, CHUNK_MAX_BYTES)
    except RemoteProtocolError:
        raise ModuleError(DatDotError.BAD_PROOF) from None
    return proof.first, proof.first + len(proof.leaves) - 1


def _is_timetable(value: Timetable) -> bool:
    return value.duration > 0


def _is_region(value: Region) -> bool:
    return GEOHASH_LETTERS.issuperset(value.geohash)
