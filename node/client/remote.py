"""A chain behind a JSON-RPC port: reads and submissions, decoded by the declarations of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio

from node.client.chain_api import Signer
from node.client.connection import Connection, RemoteError
from runtime import extrinsic as extrinsics
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import blake2_256, ss58_encode
from runtime.era import Mortal
from runtime.errors import CodecError, DispatchErrorValue
from runtime.events import ApplyExtrinsic, Event
from runtime.state import DictState

INCLUSION_TIMEOUT_SECONDS: Final = 600.0
ERA_BLOCKS: Final = 64
ENDS: Final = ("dropped", "invalid", "usurped", "finalityTimeout")


@dataclass(frozen=True)
class RemoteReceipt:
    """Where an extrinsic was included and what became of it; hashes in hexadecimal, `events` are its own."""

    extrinsic_hash: str
    block_hash: str
    block_number: int
    index: int
    error: DispatchErrorValue | None
    events: tuple[Event, ...]


class RemoteChain:
    """A node's chain. `runtime` gives codecs and names; it must be of the node's version."""

    def __init__(self, connection: Connection, runtime: Runtime, genesis_hash: bytes) -> None:
        self._connection = connection
        self.runtime = runtime
        self.genesis_hash = genesis_hash

    @classmethod
    async def open(cls, connection: Connection, runtime: Runtime) -> RemoteChain:
        """The chain behind a connection; raises RemoteError when its runtime is another one."""
        version = await connection.call("state_getRuntimeVersion")
        theirs, ours = (version.get("specName"), version.get("specVersion")), runtime.version
        if theirs != (ours.spec_name, ours.spec_version):
            known = f"{ours.spec_name} {ours.spec_version}"
            raise RemoteError(f"the node's runtime is {theirs[0]} {theirs[1]} and this program knows {known}")
        return cls(connection, runtime, _bytes(await connection.call("chain_getBlockHash", 0)))

    async def value(self, item: Any, keys: tuple[Any, ...], at: str | None = None) -> Any:
        """The decoded value of a storage item, or its default."""
        key = item.key_of(*keys)
        raw = await self._connection.call("state_getStorage", _hexadecimal(key), at)
        return self._decoded(item, {} if raw is None else {key: _bytes(raw)}, lambda: item.get(*keys))

    async def entries(self, item: Any, limit: int, at: str | None = None) -> list[tuple[Any, Any]]:
        """The first (key, value) pairs of a map in the order of their storage keys."""
        keys = await self._connection.call("state_getKeysPaged", _hexadecimal(item.prefix), limit, None, at)
        (changes,) = await self._connection.call("state_queryStorageAt", keys, at)
        pairs = {_bytes(key): _bytes(value) for key, value in changes["changes"] if value is not None}
        return list(self._decoded(item, pairs, lambda: list(item.items())))

    async def submit(
        self, call: RuntimeCall, signer: Signer, *, tip: int = 0, finalized: bool = False
    ) -> RemoteReceipt:
        """Signs and sends a call and waits for its block, or for its finality; raises RemoteError."""
        extrinsic = await self._signed(call, signer, tip)
        subscription = await self._connection.call("author_submitAndWatchExtrinsic", _hexadecimal(extrinsic))
        with trio.move_on_after(INCLUSION_TIMEOUT_SECONDS):
            while True:
                status = await self._connection.notification(str(subscription))
                name, value = next(iter(status.items())) if isinstance(status, dict) else (status, None)
                if name in ENDS:
                    raise RemoteError(f"the transaction left the pool: {name}")
                if name == "finalized" or (name == "inBlock" and not finalized):
                    return await self._receipt(str(value), extrinsic)
        raise RemoteError(f"the transaction is not in a block after {INCLUSION_TIMEOUT_SECONDS:g} s")

    async def _signed(self, call: RuntimeCall, signer: Signer, tip: int) -> bytes:
        runtime = self.runtime
        nonce = await self._connection.call("system_accountNextIndex", ss58_encode(signer.account_id))
        current = int((await self._connection.call("chain_getHeader"))["number"], 16)
        era = Mortal.starting(current, ERA_BLOCKS)
        birth = await self._connection.call("chain_getBlockHash", era.birth(current))
        return extrinsics.sign_extrinsic(
            runtime.extrinsic_codec,
            runtime.version,
            call,
            extrinsics.Signer(signer.account_id, signer.scheme, signer.sign),
            nonce=nonce,
            genesis_hash=self.genesis_hash,
            era=era,
            era_block_hash=_bytes(birth),
            tip=tip,
        )

    async def _receipt(self, block_hash: str, extrinsic: bytes) -> RemoteReceipt:
        block = (await self._connection.call("chain_getBlock", block_hash))["block"]
        index = block["extrinsics"].index(_hexadecimal(extrinsic))
        system: Any = self.runtime.pallet("System")
        records = await self.value(system.events, (), block_hash)
        events = tuple(record.event for record in records if record.phase == ApplyExtrinsic(index))
        failed = next((event for event in events if type(event).__name__ == "ExtrinsicFailed"), None)
        error = None if failed is None else failed.dispatch_error
        number = int(block["header"]["number"], 16)
        return RemoteReceipt(_hexadecimal(blake2_256(extrinsic)), block_hash, number, index, error, events)

    def _decoded(self, item: Any, pairs: Mapping[bytes, bytes], read: Callable[[], Any]) -> Any:
        try:
            with self.runtime.at(DictState(dict(pairs))):
                return read()
        except CodecError as error:
            raise RemoteError(f"the node sent a value of {item.name} that does not fit its type: {error}") from None


def _hexadecimal(data: bytes) -> str:
    return f"0x{data.hex()}"


def _bytes(value: Any) -> bytes:
    """Bytes of a node's hexadecimal answer; raises RemoteError."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise RemoteError("the node sent something else than hexadecimal digits") from None
