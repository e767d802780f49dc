"""Reading a chain behind a node's WebSocket by the node's own metadata, whatever its version."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import trio

from node.client.chain import BlockEvents, BlockRef
from node.client.connection import Connection, Subscription
from node.client.errors import (
    BadAnswer,
    CallRefused,
    ClientError,
    ConnectionLost,
    HistoryPruned,
    UnknownBlock,
    WrongChain,
)
from node.client.hexadecimal import to_bytes, to_hex
from node.client.link import Backoff, Feed, Link
from node.client.metadata import ChainMetadata, StorageDescription
from node.client.signing import SpecVersion
from runtime.crypto import twox128
from runtime.errors import CodecError, DispatchErrorValue

DEFAULT_BACKOFF: Final = Backoff()
MAX_VERSIONS: Final = 8
"""Metadata that are kept, one a runtime version."""
EVENTS_KEY: Final = twox128(b"System") + twox128(b"Events")
STATE_ERROR_CODE: Final = 4003
MAX_KEYS_PER_PAGE: Final = 1_000


class RemoteReader:
    """What a node answers about its chain. It survives reconnections and changes of the node's runtime."""

    def __init__(
        self,
        url: str,
        backoff: Backoff = DEFAULT_BACKOFF,
        genesis_hash: bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.link = Link(url, self._greet, backoff, ssl_context)
        self._genesis_hash = genesis_hash
        self._version: SpecVersion | None = None
        self._fetched: SpecVersion
        self._metadata: OrderedDict[SpecVersion, ChainMetadata] = OrderedDict()

    # --- the chain and its version

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""
        assert self._genesis_hash is not None
        return self._genesis_hash

    @property
    def version(self) -> SpecVersion:
        """The runtime of the node's best block, as far as the node has told."""
        assert self._version is not None
        return self._version

    @property
    def metadata(self) -> ChainMetadata:
        """What the runtime says about itself, as last fetched."""
        return self._metadata[self._fetched]

    async def refresh(self) -> ChainMetadata:
        """The metadata of `version`, fetched when the node told of another one."""
        while self.version not in self._metadata:
            self._keep(self.version, await self.link.call("state_getMetadata"))
        self._fetched = self.version
        return self.metadata

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name."""
        return self.metadata.constant(pallet, name)

    def error_text(self, error: DispatchErrorValue) -> str:
        """An error of a call by its names."""
        return self.metadata.error_text(error)

    async def _greet(self, connection: Connection) -> None:
        """Is it the same chain, and which runtime? Later versions are told by a subscription."""
        genesis_hash = to_bytes(await connection.call("chain_getBlockHash", 0))
        if self._genesis_hash not in (None, genesis_hash):
            raise WrongChain(f"the node follows chain 0x{genesis_hash.hex()}, not 0x{self.genesis_hash.hex()}")
        version = _version(await connection.call("state_getRuntimeVersion"))
        if version not in self._metadata:
            self._keep(version, await connection.call("state_getMetadata"))
        self._genesis_hash, self._version, self._fetched = genesis_hash, version, version

        def changed(told: Any) -> None:
            self._version = _version(told)

        subscription = Subscription("state_unsubscribeRuntimeVersion", changed, lambda: None)
        await connection.subscribe("state_subscribeRuntimeVersion", subscription)

    def _keep(self, version: SpecVersion, encoded: Any) -> None:
        self._metadata[version] = ChainMetadata(to_bytes(encoded))
        if len(self._metadata) > MAX_VERSIONS:
            self._metadata.pop(next(one for one in self._metadata if one not in (version, self._fetched)))

    async def _metadata_at(self, block_hash: bytes) -> ChainMetadata:
        """The metadata of the runtime in a block's state, which made the events of its children."""
        at = to_hex(block_hash)
        version = _version(await self._at(block_hash, "state_getRuntimeVersion", at))
        if version not in self._metadata:
            self._keep(version, await self._at(block_hash, "state_getMetadata", at))
        return self._metadata[version]

    # --- state

    async def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item by its metadata name, or its default."""
        metadata = await (self.refresh() if at is None else self._metadata_at(at))
        found = metadata.item(pallet, item)
        return metadata.stored(found, await self.storage(_key(found, keys), at))

    async def storage(self, key: bytes, at: bytes | None = None) -> bytes | None:
        """The raw value under a storage key."""
        raw = await self._at(at, "state_getStorage", to_hex(key), None if at is None else to_hex(at))
        return None if raw is None else to_bytes(raw)

    async def entries(
        self, pallet: str, item: str, limit: int, at: bytes | None = None
    ) -> list[tuple[tuple[Any, ...], Any]]:
        """The first (keys, value) pairs of a map in the order of their storage keys; `limit` is at most 1,000."""
        metadata = await (self.refresh() if at is None else self._metadata_at(at))
        found, block = metadata.item(pallet, item), to_hex((await self.head()).hash if at is None else at)
        limit = min(limit, MAX_KEYS_PER_PAGE)
        keys = await self._at(at, "state_getKeysPaged", to_hex(found.prefix), limit, None, block)
        answer = await self._at(at, "state_queryStorageAt", keys, block)
        try:
            pairs = [(to_bytes(key), to_bytes(raw)) for key, raw in answer[0]["changes"] if raw is not None]
            return [(found.keys_of(key), metadata.stored(found, raw)) for key, raw in pairs]
        except (CodecError, KeyError, IndexError, TypeError, ValueError) as error:
            raise BadAnswer(f"the node's entries of {found.name} do not fit: {error}") from None

    async def _at(self, at: bytes | None, method: str, *params: Any) -> Any:
        """A call about the state of a block, with the errors that this may have."""
        try:
            return await self.link.call(method, *params)
        except CallRefused as error:
            if error.code == STATE_ERROR_CODE and "discarded" in error.message:
                raise HistoryPruned(str(error.data or error.message)) from None
            if error.code == STATE_ERROR_CODE and at is not None and "UnknownBlock" in error.message:
                raise UnknownBlock(f"the node does not know block {to_hex(at)}") from None
            raise

    # --- blocks (BlockSource)

    async def head(self, *, finalized: bool = False) -> BlockRef:
        """The best block, or the finalized one."""
        method = "chain_getFinalizedHead" if finalized else "chain_getBlockHash"
        block_hash = to_bytes(await self.link.call(method))
        number = await self.number_of(block_hash)
        if number is None:
            raise BadAnswer("the node does not know the block that it named as its head")
        return BlockRef(number, block_hash)

    async def hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        """The hashes of the best chain's blocks at these heights."""
        answer = await self.link.call("chain_getBlockHash", list(numbers))
        if not isinstance(answer, list) or len(answer) != len(numbers):
            raise BadAnswer("the node answered another number of hashes than was asked for")
        return [None if one is None else to_bytes(one) for one in answer]

    async def number_of(self, block_hash: bytes) -> int | None:
        """The height of a block, None for an unknown one."""
        header = await self.link.call("chain_getHeader", to_hex(block_hash))
        return None if header is None else _parsed_header(header)[0]

    async def block(self, ref: BlockRef) -> BlockEvents:
        """A block with its events, decoded by the runtime that made them."""
        header = await self.link.call("chain_getHeader", to_hex(ref.hash))
        if header is None:
            raise UnknownBlock(f"the node does not know block {to_hex(ref.hash)}")
        number, parent_hash = _parsed_header(header)
        raw = await self.storage(EVENTS_KEY, ref.hash)
        metadata = await self._events_metadata(number, ref.hash, parent_hash)
        return BlockEvents(number, ref.hash, parent_hash, metadata.event_records(raw))

    async def _events_metadata(self, number: int, block_hash: bytes, parent_hash: bytes) -> ChainMetadata:
        if number > 0:
            try:
                return await self._metadata_at(parent_hash)
            except HistoryPruned:  # the oldest block whose state is kept: its own runtime is the best guess
                pass
        return await self._metadata_at(block_hash)

    async def body(self, block_hash: bytes) -> list[str]:
        """The extrinsics of a block, in hexadecimal; raises UnknownBlock."""
        answer = await self.link.call("chain_getBlock", to_hex(block_hash))
        if answer is None:
            raise UnknownBlock(f"the node does not know block {to_hex(block_hash)}")
        try:
            return [str(one) for one in answer["block"]["extrinsics"]]
        except (KeyError, TypeError):
            raise BadAnswer("the node sent a block without extrinsics") from None

    def moves(self, finalized: bool) -> HeadMoves:
        """Movements of the best chain, or of the finalized one."""
        return HeadMoves(self.link, "FinalizedHeads" if finalized else "NewHeads")


class HeadMoves:
    """Says when heads were told, and when a new connection may have missed some."""

    def __init__(self, link: Link, kind: str) -> None:
        self._link = link
        self._kind = kind
        self._feed: Feed | None = None

    async def wait(self) -> None:
        """Returns when the chain may have moved."""
        while self._feed is not None:
            try:
                await self._feed.receive()
                self._feed.skip()
                return
            except trio.EndOfChannel:
                await self.aclose()
        while self._feed is None:
            try:
                names = (f"chain_subscribe{self._kind}", f"chain_unsubscribe{self._kind}")
                self._feed = await self._link.subscribe(*names)
            except ConnectionLost:
                await self._link.connection()

    async def aclose(self) -> None:
        """Unsubscribes."""
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.aclose()


def _key(item: StorageDescription, keys: Sequence[Any]) -> bytes:
    try:
        return item.key(*keys)
    except CodecError as error:
        raise ClientError(f"the keys of {item.name} do not fit: {error}") from None


def _version(told: Any) -> SpecVersion:
    try:
        return SpecVersion(str(told["specName"]), int(told["specVersion"]), int(told["transactionVersion"]))
    except (KeyError, TypeError, ValueError):
        raise BadAnswer("the node sent no runtime version") from None


def _parsed_header(header: Any) -> tuple[int, bytes]:
    try:
        return int(header["number"], 16), to_bytes(header["parentHash"])
    except (KeyError, TypeError, ValueError):
        raise BadAnswer("the node sent no header") from None
