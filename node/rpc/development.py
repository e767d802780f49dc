"""What only a development chain lets its users do: make blocks, move time, write state, go back.

Every change of state is an extrinsic in a block (`sudo` of `System.set_storage`), so whoever executes the chain again
arrives at the same roots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from node.chain.author import Author
from node.chain.chain import Chain
from node.chain.clock import AdjustableClock
from node.chain.transactions import Transactions
from node.client.metadata import ChainMetadata, StorageDescription, metadata_of
from node.client.values import BadValue, find_item, find_pallet, from_json, to_json
from node.store.chain_store import ChainStore
from node.store.errors import StateUnavailable, StoreError
from node.txpool.errors import PoolError
from pallets.sudo import Sudo
from pallets.timestamp import Timestamp
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.errors import CodecError, InvalidTransaction
from runtime.extrinsic import Signer, sign_extrinsic
from runtime.header import Header
from runtime.limits import RAW_STORAGE_ITEMS, STORAGE_KEY_BYTES
from runtime.types import scale_name

REMOVE_PREFIX = "$removePrefix"


class DevelopmentRefused(Exception):
    """What was asked for cannot be done; one sentence."""


@dataclass(frozen=True)
class StorageChanges:
    """Raw keys with their new values, keys to kill, and prefixes below which everything is killed."""

    items: tuple[tuple[bytes, bytes], ...] = ()
    killed: tuple[bytes, ...] = ()
    prefixes: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Development:
    """A development chain under this node's hand. All methods raise DevelopmentRefused."""

    chain: Chain
    transactions: Transactions
    author: Author
    clock: AdjustableClock
    sudo_key: Signer | None
    """The key with which this node acts as root."""

    async def new_block(self) -> Header:
        """Make a block now; its slot may lie ahead of the clock."""
        header = await self.author.author_block()
        if header is None:
            raise DevelopmentRefused("this node made no block: none of its keys is an authority, or it is syncing")
        return header

    def travel_to(self, time_ms: int) -> None:
        """Set the time: the next block has it, and later ones go on from there."""
        head_ms = _head_ms(self.chain.store, self.chain.runtime)
        if time_ms <= head_ms:
            raise DevelopmentRefused(f"the time of a chain does not go back: its head is of {head_ms} ms")
        self.clock.travel_to(time_ms)

    async def set_head(self, block_hash: bytes) -> None:
        """Go back to an earlier block; transactions of the blocks that are left return to the pool."""
        try:
            await self.chain.set_head(block_hash)
        except (StateUnavailable, StoreError) as error:
            raise DevelopmentRefused(str(error)) from None

    async def set_storage(self, changes: StorageChanges) -> Header:
        """Write storage in a new block, by a root call that this node signs with the sudo key."""
        runtime = self.chain.runtime
        for key, value in changes.items:
            _check_fits(runtime, key, value)
        calls = _root_calls(changes)
        if not calls:
            raise DevelopmentRefused("there is nothing to write")
        call = calls[0] if len(calls) == 1 else RuntimeCall("Utility", "batch_all", {"calls": tuple(calls)})
        extrinsic = self._signed(RuntimeCall(Sudo.name, "sudo", {"call": call}))
        try:
            self.transactions.submit(extrinsic)
        except (InvalidTransaction, PoolError) as error:
            raise DevelopmentRefused(f"the root call was refused: {error}") from None
        header = await self.new_block()
        if extrinsic not in (self.chain.store.body(header.hash) or ()):
            raise DevelopmentRefused("the root call found no room in the block: make another one")
        return header

    def _signed(self, call: RuntimeCall) -> bytes:
        chain, key = self.chain, self.sudo_key
        with chain.runtime.at(chain.store.state(chain.best.hash)) as runtime:
            has_sudo = any(pallet.name == Sudo.name for pallet in runtime.pallets)
            sudo = cast("Sudo", runtime.pallet(Sudo.name)).key.get() if has_sudo else None
            if key is None or sudo != key.account_id:
                raise DevelopmentRefused("this node's key is not the chain's sudo key, so it cannot write storage")
            nonce = self.transactions.pool.next_nonce(key.account_id, runtime.system.nonce(key.account_id))
        codec, version, genesis_hash = chain.runtime.extrinsic_codec, chain.runtime.version, chain.store.genesis_hash
        return sign_extrinsic(codec, version, call, key, nonce=nonce, genesis_hash=genesis_hash)


def development_clock(store: ChainStore, runtime: Runtime) -> AdjustableClock:
    """The clock of a development chain: where its time was moved ahead, it goes on from there."""
    return AdjustableClock(_head_ms(store, runtime))


def _head_ms(store: ChainStore, runtime: Runtime) -> int:
    with runtime.at(store.state(store.best.hash)):
        return cast("Timestamp", runtime.pallet(Timestamp.name)).now_ms()


def changes_from_pairs(pairs: Sequence[tuple[bytes, bytes | None]]) -> StorageChanges:
    """Changes given as raw keys and values, None to kill."""
    items = tuple((key, value) for key, value in pairs if value is not None)
    return StorageChanges(items, tuple(key for key, value in pairs if value is None))


def changes_from_names(runtime: Runtime, values: Mapping[str, Any]) -> StorageChanges:
    """Changes given as {Pallet: {Item: value}}, for maps {Pallet: {Item: [[[key, …], value], …]}}; null kills.

    {Pallet: {"$removePrefix": [Item, …]}} kills all entries of items. What a struct's object leaves out is as in the
    item's default. Raises BadValue.
    """
    pairs: list[tuple[bytes, bytes | None]] = []
    prefixes: list[bytes] = []
    metadata = metadata_of(runtime)
    for pallet_name, given in values.items():
        pallet = find_pallet(metadata, pallet_name).name
        for name, value in _mapping(given, pallet).items():
            if name == REMOVE_PREFIX:
                prefixes.extend(_item(metadata, pallet, one).prefix for one in _list(value, REMOVE_PREFIX))
                continue
            item = _item(metadata, pallet, name)
            given_entries = [_entry(one, item.name) for one in _list(value, item.name)] if item.keys else [((), value)]
            pairs.extend(_pair(metadata, item, keys, one) for keys, one in given_entries)
    changes = changes_from_pairs(pairs)
    return StorageChanges(changes.items, changes.killed, tuple(prefixes))


def _pair(
    metadata: ChainMetadata, item: StorageDescription, keys: Sequence[Any], value: Any
) -> tuple[bytes, bytes | None]:
    if len(keys) != len(item.keys):
        raise BadValue(f"{item.name} has {len(item.keys)} keys, {len(keys)} are given")
    kinds = [kind for kind, _ in item.keys]
    decoded = [from_json(metadata, kind, key, f"{item.name} key") for kind, key in zip(kinds, keys, strict=True)]
    try:
        storage_key = item.key(*decoded)
        if value is None:
            return storage_key, None
        default = None if item.default is None else to_json(metadata, item.value_type, item.default)
        filled = from_json(metadata, item.value_type, _filled(value, default), item.name)
        return storage_key, metadata.types.codec(item.value_type).encode(filled)
    except CodecError as error:
        raise BadValue(f"{item.name}: {error}") from None


def _filled(value: Any, default: Any) -> Any:
    """The value; where it is an object, with the default's fields that it leaves out. Names may be camelCase."""
    if not isinstance(value, Mapping) or not isinstance(default, Mapping):
        return value
    known = {_plain(name): name for name in default}
    given = {known.get(_plain(str(name)), name): part for name, part in value.items()}
    return {**default, **{name: _filled(part, default.get(name)) for name, part in given.items()}}


def _plain(name: str) -> str:
    return scale_name(name).replace("_", "").lower()


def _item(metadata: ChainMetadata, pallet: str, name: Any) -> StorageDescription:
    owner, entry = find_item(metadata, pallet, str(name))
    return metadata.item(owner, entry.name)


def _entry(entry: Any, where: str) -> tuple[Sequence[Any], Any]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], list):
        raise BadValue(f"{where} is a map: give its entries as [[[key, …], value], …]")
    return entry[0], entry[1]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadValue(f"{where}: expected an object of storage items")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > RAW_STORAGE_ITEMS:
        raise BadValue(f"{where}: expected a list of at most {RAW_STORAGE_ITEMS} entries")
    return value


def _check_fits(runtime: Runtime, key: bytes, value: bytes) -> None:
    if not 0 < len(key) <= STORAGE_KEY_BYTES:
        raise DevelopmentRefused(f"a storage key has 1 to {STORAGE_KEY_BYTES} bytes, not {len(key)}")
    if not value:
        raise DevelopmentRefused(f"the value under 0x{key.hex()} is empty: null removes a key")
    try:
        runtime.storage_index.decode(key, value)
    except CodecError as error:
        raise DevelopmentRefused(f"the value under 0x{key.hex()} does not fit its type: {error}") from None


def _root_calls(changes: StorageChanges) -> list[RuntimeCall]:
    calls = [
        RuntimeCall("System", "kill_prefix", {"prefix": prefix, "subkeys": RAW_STORAGE_ITEMS})
        for prefix in changes.prefixes
    ]
    if changes.killed:
        calls.append(RuntimeCall("System", "kill_storage", {"keys": changes.killed}))
    if changes.items:
        calls.append(RuntimeCall("System", "set_storage", {"items": changes.items}))
    return calls
