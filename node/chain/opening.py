"""Opening a chain: its database and the runtime that its state asks for."""

from node.config import NodeConfig, StartRefused
from node.runtime_source import RuntimeRefused, node_runtime
from node.store.chain_store import ChainStore
from node.store.errors import StoreError
from runtime.construct import Runtime
from runtime.genesis import ChainSpec, build_genesis
from runtime.genesis_fields import GenesisError
from runtime.version import CODE_KEY, SOURCE_DIGEST_BYTES, split_code


def open_chain(config: NodeConfig) -> tuple[ChainStore, Runtime]:
    """The store and the runtime of a chain; a new store gets its genesis block. Raises StartRefused.

    Where the stored chain asks for the source that we have under another spec version, the runtime takes that version:
    development chains count their upgrades. `config.upgradable` says what happens when it asks for other source.
    """
    try:
        runtime = node_runtime(config.spec)
        genesis = build_genesis(runtime, config.spec)
        store = _open_store(config)
        if store.is_empty:
            store.put_genesis(genesis)
        elif config.upgradable:
            return store, _build_that_stands_in(store, config.spec)
        elif not _is_same_chain(store, config.spec, genesis.header.hash):
            store.close()
            raise StartRefused(
                f"{config.base_path} holds another chain than the chain file describes; use another directory"
            )
    except GenesisError as error:
        raise StartRefused(f"the chain file has a mistake: {error}") from None
    except RuntimeRefused as error:
        raise StartRefused(str(error)) from None
    return store, runtime


def _open_store(config: NodeConfig) -> ChainStore:
    try:
        config.base_path.mkdir(parents=True, exist_ok=True)
        return ChainStore.open(config.base_path / "chain", archive=config.archive)
    except StoreError as error:
        raise StartRefused(str(error)) from None
    except OSError as error:
        raise StartRefused(f"cannot use {config.base_path}: {error.strerror}") from None


def _build_that_stands_in(store: ChainStore, spec: ChainSpec) -> Runtime:
    """Our source under the code that the stored chain names, to make the block that upgrades the chain to it."""
    try:
        digest, spec_version = split_code(_code(store))
    except ValueError as error:
        store.close()
        raise StartRefused(f"the stored chain names no runtime: {error}") from None
    return node_runtime(spec, digest=digest, spec_version=spec_version)


def _is_same_chain(store: ChainStore, spec: ChainSpec, genesis_hash: bytes) -> bool:
    """Whether the store was begun from this chain file, by this version of the runtime or by the one it asks for.

    With another version the node follows and serves what it has; the author refuses and names the version.
    """
    if store.genesis_hash == genesis_hash:
        return True
    digest = _code(store)[:SOURCE_DIGEST_BYTES].ljust(SOURCE_DIGEST_BYTES, b"\0")
    return store.genesis_hash == build_genesis(node_runtime(spec, digest=digest), spec).header.hash


def _code(store: ChainStore) -> bytes:
    return store.state(store.best.hash).get(CODE_KEY) or b""
