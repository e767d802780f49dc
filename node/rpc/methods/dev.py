"""`dev_*`: a development chain in its user's hand, called as chopsticks calls them. Other chains do not have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from node.client.values import BadValue
from node.rpc.backend import Backend
from node.rpc.development import Development, DevelopmentRefused, changes_from_names, changes_from_pairs
from node.rpc.errors import RpcError, invalid_params
from node.rpc.json import hexadecimal
from node.rpc.limits import MAX_NEW_BLOCKS
from node.rpc.methods.author import submission_error
from node.rpc.parameters import Hash, bounded_list, hash_bytes, hex_bytes, integer, shown_as
from node.rpc.registry import method
from node.txpool.errors import AlreadyImported, PoolError
from runtime.errors import RuntimeFault

DEVELOPMENT_REFUSED = 1
"""The code of chopsticks' own errors."""


@dataclass(frozen=True)
class NewBlocks:
    """How many blocks to make, or up to which number, and what to put into the pool before."""

    count: int | None = None
    to: int | None = None
    transactions: tuple[bytes, ...] = ()


@shown_as(
    type="object",
    properties={
        "count": {"type": "integer", "minimum": 1, "maximum": MAX_NEW_BLOCKS},
        "to": {"type": "integer", "minimum": 1},
        "transactions": {"type": "array", "items": {"type": "string"}},
    },
)
def new_blocks(value: Any) -> NewBlocks:
    """The options of dev_newBlock."""
    if not isinstance(value, dict):
        raise ValueError("expected an object with count, to or transactions")
    given = {name: part for name, part in value.items() if part is not None}
    if "unsafeBlockHeight" in given:
        raise ValueError("unsafeBlockHeight: the number of a block is always one more than its parent's")
    if unknown := set(given) - {"count", "to", "transactions"}:
        raise ValueError(f"{sorted(unknown)[0]} is not known; there are count, to and transactions")
    count = integer(given["count"]) if "count" in given else None
    if count is not None and not 0 < count <= MAX_NEW_BLOCKS:
        raise ValueError(f"count: 1 to {MAX_NEW_BLOCKS} blocks at a time")
    to = integer(given["to"]) if "to" in given else None
    return NewBlocks(count, to, tuple(hex_bytes(one) for one in bounded_list(given.get("transactions", []))))


@shown_as(type=["integer", "string"])
def moment(value: Any) -> int:
    """Milliseconds since 1970 as a number, or a date such as 2030-01-01T00:00:00Z."""
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value)
    if not isinstance(value, str):
        raise ValueError("expected milliseconds since 1970, or a date such as 2030-01-01T00:00:00Z")
    if value.isdecimal():
        return integer(value)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("not a date such as 2030-01-01T00:00:00Z") from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1_000)


@shown_as(type=["array", "object"])
def storage_values(value: Any) -> Mapping[str, Any] | list[tuple[bytes, bytes | None]]:
    """Raw pairs [[key, value or null], …], or values by name {Pallet: {Item: …}}."""
    if isinstance(value, dict):
        return value
    pairs = []
    for pair in bounded_list(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("a pair is [key, value]")
        pairs.append((hex_bytes(pair[0]), None if pair[1] is None else hex_bytes(pair[1])))
    return pairs


@shown_as(type=["string", "integer"])
def hash_or_number(value: Any) -> bytes | int:
    """A block's hash or its number."""
    return hash_bytes(value) if isinstance(value, str) and len(value) > 2 + 16 else integer(value)


NewBlockOptions = Annotated[NewBlocks, new_blocks]
Moment = Annotated[int, moment]
StorageValues = Annotated[Any, storage_values]
HashOrNumber = Annotated[bytes | int, hash_or_number]


class DevMethods:
    """Unsafe methods all."""

    def __init__(self, backend: Backend, development: Development) -> None:
        self.backend, self.development = backend, development

    @method("dev_newBlock", unsafe=True)
    async def new_block(self, params: NewBlockOptions | None = None) -> str:
        """Makes blocks, {count} or up to the number {to}, by default one; {transactions} go into the pool before.

        The answer is the hash of the last block.
        """
        options = params or NewBlocks()
        best = self.backend.chain.best.number
        count = options.count or (1 if options.to is None else options.to - best)
        if not 0 < count <= MAX_NEW_BLOCKS:
            raise invalid_params(f"to: the head is block {best}, and {MAX_NEW_BLOCKS} blocks are made at a time")
        for extrinsic in options.transactions:
            self._submit(extrinsic)
        header = await self._refusing(self.development.new_block())
        for _ in range(count - 1):
            header = await self._refusing(self.development.new_block())
        return hexadecimal(header.hash)

    @method("dev_timeTravel", unsafe=True)
    def time_travel(self, date: Moment) -> int:
        """Sets the time, forward only; the next block has it. The answer is the time in milliseconds since 1970."""
        try:
            self.development.travel_to(date)
        except DevelopmentRefused as error:
            raise invalid_params(f"date: {error}") from None
        return date

    @method("dev_setStorage", unsafe=True)
    async def set_storage(self, values: StorageValues, block_hash: Hash | None = None) -> str:
        """Writes storage, by raw keys or by names, in a new block on the head; the answer is that block's hash."""
        if block_hash not in (None, self.backend.chain.best.hash):
            raise invalid_params("block_hash: storage is written on top of the head only; dev_setHead moves it")
        try:
            is_named = isinstance(values, Mapping)
            runtime = self.backend.chain.runtime
            changes = changes_from_names(runtime, values) if is_named else changes_from_pairs(values)
        except BadValue as error:
            raise invalid_params(f"values: {error}") from None
        return hexadecimal((await self._refusing(self.development.set_storage(changes))).hash)

    @method("dev_setHead", unsafe=True)
    async def set_head(self, hash_or_number: HashOrNumber) -> None:
        """Goes back to an earlier block of the best chain; transactions of the blocks above return to the pool."""
        store = self.backend.chain.store
        found = hash_or_number if isinstance(hash_or_number, bytes) else store.hash_at(hash_or_number)
        if found is None:
            raise invalid_params(f"hash_or_number: the head is block {store.best.number}")
        await self._refusing(self.development.set_head(found))

    def _submit(self, extrinsic: bytes) -> None:
        try:
            self.backend.transactions.submit(extrinsic)
        except AlreadyImported:
            return
        except (RuntimeFault, PoolError) as error:
            raise submission_error(error, extrinsic) from None

    async def _refusing(self, work: Any) -> Any:
        try:
            return await work
        except DevelopmentRefused as error:
            raise RpcError(DEVELOPMENT_REFUSED, str(error)) from None
