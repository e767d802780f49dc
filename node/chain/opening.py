"""Opening a chain: its database and the runtime that its state asks for.

Beside the database lies the chain file that it was begun from. It tells which chain this is when the runtime was
upgraded since: the genesis block names the source that made it, and that source is gone.
"""

import json
from pathlib import Path
from typing import Any, Final

from node.config import NodeConfig, StartRefused
from node.runtime_source import RuntimeRefused, node_runtime
from node.store.chain_store import ChainStore
from node.store.errors import StoreError
from runtime.construct import Runtime
from runtime.genesis import ChainSpec, build_genesis
from runtime.genesis_fields import GenesisError
from runtime.version import CODE_KEY, split_code

DATABASE: Final = "chain"
BEGUN_FROM: Final = "genesis.json"


def open_chain(config: NodeConfig) -> tuple[ChainStore, Runtime]:
    """The store and the runtime of a chain; a new store gets its genesis block. Raises StartRefused.

    Where the stored chain asks for the source that we have under another spec version, the runtime takes that version:
    development chains count their upgrades. `config.upgradable` says what happens when it asks for other source.
    """
    try:
        runtime = node_runtime(config.spec)
        store = _open_store(config)
        try:
            if store.is_empty:
                _begin(store, runtime, config)
            elif not config.upgradable:
                _refuse_another(store, runtime, config)
            return store, _runtime_of_chain(store, runtime, config)
        except BaseException:
            store.close()
            raise
    except GenesisError as error:
        raise StartRefused(f"the chain file has a mistake: {error}") from None
    except RuntimeRefused as error:
        raise StartRefused(str(error)) from None


def _open_store(config: NodeConfig) -> ChainStore:
    try:
        config.base_path.mkdir(parents=True, exist_ok=True)
        return ChainStore.open(config.base_path / DATABASE, archive=config.archive)
    except StoreError as error:
        raise StartRefused(str(error)) from None
    except OSError as error:
        raise StartRefused(f"cannot use {config.base_path}: {error.strerror}") from None


def _begin(store: ChainStore, runtime: Runtime, config: NodeConfig) -> None:
    genesis = build_genesis(runtime, config.spec)
    try:
        _begun_from(config).write_text(json.dumps(config.spec.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StartRefused(f"cannot use {config.base_path}: {error.strerror}") from None
    store.put_genesis(genesis)


def _refuse_another(store: ChainStore, runtime: Runtime, config: NodeConfig) -> None:
    """Raises StartRefused unless the store was begun from this chain file, or from one of the same genesis block.

    With another version of the runtime the node follows and serves what it has; the author refuses and names it.
    """
    try:
        begun = ChainSpec.parse(_begun_from(config).read_bytes())
        is_same = _what_makes_genesis(begun) == _what_makes_genesis(config.spec)
    except (OSError, GenesisError):
        is_same = False
    if not is_same and store.genesis_hash != build_genesis(runtime, config.spec).header.hash:
        raise StartRefused(
            f"{config.base_path} holds another chain than the chain file describes: use another directory,"
            f" or the chain file it was begun from, which is {_begun_from(config)}"
        )


def _runtime_of_chain(store: ChainStore, runtime: Runtime, config: NodeConfig) -> Runtime:
    """Our source under the spec version of the stored chain, if that asks for our source; an upgradable chain gets a
    stand-in under the code that it names, to make the block that upgrades it."""
    try:
        digest, spec_version = split_code(store.state(store.best.hash).get(CODE_KEY) or b"")
    except ValueError as error:
        raise StartRefused(f"the stored chain names no runtime: {error}") from None
    if digest == runtime.source_digest or config.upgradable:
        return node_runtime(config.spec, digest=digest, spec_version=spec_version)
    return runtime


def _begun_from(config: NodeConfig) -> Path:
    return config.base_path / DATABASE / BEGUN_FROM


def _what_makes_genesis(spec: ChainSpec) -> tuple[Any, ...]:
    """What of a chain file is in the genesis block; names, properties and bootnodes may change."""
    return spec.runtime, spec.slot_duration_ms, spec.genesis
