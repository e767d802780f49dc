"""`state_*`: storage, metadata, runtime calls and their subscriptions."""

from collections.abc import AsyncGenerator, Iterable
from functools import lru_cache
from typing import Any

from node.chain.events import BestChanged
from node.rpc.backend import Backend
from node.rpc.errors import INVALID_BLOCK_RANGE, INVALID_COUNT, RpcError, invalid_params
from node.rpc.json import hexadecimal, optional_hexadecimal
from node.rpc.limits import MAX_BLOCKS_QUERIED, MAX_KEYS_AT_ONCE, MAX_KEYS_PER_PAGE
from node.rpc.parameters import Hash, Hex, Number
from node.rpc.registry import method, subscription
from node.rpc.runtime_api import call_runtime, runtime_version_json
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.version import CODE_KEY


@lru_cache(maxsize=2)
def _metadata_text(runtime: Runtime) -> str:
    return hexadecimal(runtime.metadata_v14)


class StateMethods:
    """Reads of state at a block, the best one by default. Unknown blocks and pruned states are errors."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @method("state_getMetadata")
    def get_metadata(self, at: Hash | None = None) -> str:
        """The runtime's metadata, version 14."""
        return _metadata_text(self.backend.runtime_at(self.backend.block_at(at)))

    @method("state_getRuntimeVersion", "chain_getRuntimeVersion")
    def get_runtime_version(self, at: Hash | None = None) -> Any:
        """The runtime's version."""
        return runtime_version_json(self.backend.runtime_at(self.backend.block_at(at)).version)

    @method("state_call", "state_callAt")
    def call(self, name: str, data: Hex, at: Hash | None = None) -> str:
        """The SCALE result of a runtime API function such as Core_version."""
        return hexadecimal(call_runtime(self.backend, name, data, self.backend.block_at(at)))

    @method("state_getStorage", "state_getStorageAt")
    def get_storage(self, key: Hex, at: Hash | None = None) -> str | None:
        """The value under a storage key."""
        return optional_hexadecimal(self.backend.state_at(at).get(key))

    @method("state_getStorageHash", "state_getStorageHashAt")
    def get_storage_hash(self, key: Hex, at: Hash | None = None) -> str | None:
        """The BLAKE2b-256 of the value under a storage key."""
        value = self.backend.state_at(at).get(key)
        return None if value is None else hexadecimal(blake2_256(value))

    @method("state_getStorageSize", "state_getStorageSizeAt")
    def get_storage_size(self, key: Hex, at: Hash | None = None) -> int | None:
        """The length of the value under a storage key, bytes."""
        value = self.backend.state_at(at).get(key)
        return None if value is None else len(value)

    @method("state_getKeysPaged", "state_getKeysPagedAt")
    def get_keys_paged(
        self, prefix: Hex | None, count: Number, start_key: Hex | None = None, at: Hash | None = None
    ) -> list[str]:
        """Storage keys with a prefix, in byte order, those after `start_key`, at most 1,000."""
        if count > MAX_KEYS_PER_PAGE:
            reason = f"count exceeds maximum value. value: {count}, max: {MAX_KEYS_PER_PAGE}"
            raise RpcError(INVALID_COUNT, reason)
        keys = self.backend.state_at(at).keys(prefix or b"", start_key or None, count)
        return [hexadecimal(key) for key in keys]

    @method("state_getKeys", unsafe=True)
    def get_keys(self, prefix: Hex, at: Hash | None = None) -> list[str]:
        """All storage keys with a prefix, in byte order; at most 100,000."""
        return [hexadecimal(key) for key in self._keys(prefix, at)]

    @method("state_getPairs", unsafe=True)
    def get_pairs(self, prefix: Hex, at: Hash | None = None) -> list[list[str]]:
        """All storage keys with a prefix, in byte order, with their values; at most 100,000."""
        state = self.backend.state_at(at)
        return [[hexadecimal(key), hexadecimal(state.get(key) or b"")] for key in self._keys(prefix, at)]

    @method("state_queryStorage", unsafe=True)
    def query_storage(self, keys: list[Hex], from_block: Hash, to_block: Hash | None = None) -> Any:
        """The values under several keys at a block, then each change up to another one, the best by default."""
        store = self.backend.chain.store
        first, last = self.backend.header_at(from_block), self.backend.header_at(to_block)
        if store.hash_at(first.number) != first.hash or store.hash_at(last.number) != last.hash:
            raise _invalid_range(from_block, last.hash, "one of the blocks is not on the best chain")
        if not first.number <= last.number < first.number + MAX_BLOCKS_QUERIED:
            reason = f"a range goes up and covers at most {MAX_BLOCKS_QUERIED} blocks"
            raise _invalid_range(from_block, last.hash, reason)
        known: dict[bytes, bytes | None] = {}
        sets = []
        for number in range(first.number, last.number + 1):
            block_hash = store.hash_at(number) or b""
            state = self.backend.state_at(block_hash)
            values = {key: state.get(key) for key in keys}
            changed = {key: value for key, value in values.items() if key not in known or known[key] != value}
            if changed:
                changes = [[hexadecimal(key), optional_hexadecimal(value)] for key, value in changed.items()]
                sets.append({"block": hexadecimal(block_hash), "changes": changes})
            known.update(changed)
        return sets

    @method("state_queryStorageAt")
    def query_storage_at(self, keys: list[Hex], at: Hash | None = None) -> Any:
        """The values under several storage keys, in one set of changes."""
        return [self._change_set(keys, self.backend.block_at(at))]

    @subscription("state_subscribeStorage", "state_unsubscribeStorage", notifies="state_storage")
    async def storage(self, keys: list[Hex] | None = None) -> AsyncGenerator[Any, None]:
        """The values under the keys now, and again whenever a best block wrote one of them, even the same value."""
        if not keys:
            raise invalid_params("keys: name at least one storage key")
        wanted = dict.fromkeys(keys)
        with self.backend.events() as events:
            yield self._change_set(keys, self.backend.chain.store.best.hash)
            async for event in events:
                if isinstance(event, BestChanged):
                    written = self.backend.written_keys(event)
                    if touched := [key for key in wanted if key in written]:
                        yield self._change_set(touched, event.header.hash)

    @subscription(
        "state_subscribeRuntimeVersion",
        "state_unsubscribeRuntimeVersion",
        "chain_unsubscribeRuntimeVersion",
        notifies="state_runtimeVersion",
        aliases=("chain_subscribeRuntimeVersion",),
    )
    async def runtime_version(self) -> AsyncGenerator[Any, None]:
        """The runtime's version now, and again when a best block changed the code."""
        with self.backend.events() as events:
            yield runtime_version_json(self.backend.chain.runtime.version)
            async for event in events:
                if isinstance(event, BestChanged) and CODE_KEY in self.backend.written_keys(event):
                    yield runtime_version_json(self.backend.runtime_at(event.header.hash).version)

    def _keys(self, prefix: bytes, at: bytes | None) -> list[bytes]:
        keys = self.backend.state_at(at).keys(prefix, None, MAX_KEYS_AT_ONCE + 1)
        if len(keys) > MAX_KEYS_AT_ONCE:
            raise invalid_params(f"prefix: more than {MAX_KEYS_AT_ONCE} keys have it; use state_getKeysPaged")
        return keys

    def _change_set(self, keys: Iterable[bytes], block_hash: bytes) -> Any:
        state = self.backend.state_at(block_hash)
        changes = [[hexadecimal(key), optional_hexadecimal(state.get(key))] for key in keys]
        return {"block": hexadecimal(block_hash), "changes": changes}


def _invalid_range(first: bytes, last: bytes, details: str) -> RpcError:
    blocks = f"['{hexadecimal(first)}' ... '{hexadecimal(last)}']"
    return RpcError(INVALID_BLOCK_RANGE, f"Cannot resolve a block range {blocks}. {details}")
