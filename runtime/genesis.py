"""Chain files: what a chain is made of, and the genesis block made from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.construct import Runtime
from runtime.genesis_fields import (
    GenesisError,
    GenesisPath,
    read_integer,
    read_list,
    read_mapping,
    read_reference,
    read_text,
)
from runtime.header import Header
from runtime.state import DictState, Overlay
from runtime.trie import EMPTY_ROOT, TrieUpdate, update
from runtime.version import CODE_KEY

ZERO_HASH = bytes(32)
CHAIN_TYPES = ("Development", "Local", "Live")


@dataclass(frozen=True)
class ChainSpec:
    """A chain file: its names, what clients show, the slot time, the genesis state per pallet, where to dial first.

    `runtime` names the function that makes the chain's runtime from this file, as `module:function`; None is DatDot's.
    """

    name: str
    id: str
    chain_type: str
    properties: Mapping[str, Any]
    slot_duration_ms: int
    genesis: Mapping[str, Any]
    bootnodes: tuple[str, ...] = ()
    runtime: str | None = None

    @classmethod
    def parse(cls, text: str | bytes) -> ChainSpec:
        """Read a chain file's text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GenesisError("file", f"JSON ({error})") from None
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Any) -> ChainSpec:
        """Read a chain file's object; the pallets' sections are read by `build_genesis`."""
        at = GenesisPath("file")
        fields = read_mapping(
            value,
            at,
            required=("name", "id", "chain_type", "properties", "slot_duration_ms", "genesis"),
            optional=("bootnodes", "runtime"),
        )
        chain_type = read_text(fields["chain_type"], at["chain_type"])
        if chain_type not in CHAIN_TYPES:
            raise GenesisError(at["chain_type"], f"one of {', '.join(CHAIN_TYPES)}")
        properties = read_mapping(
            fields["properties"], at["properties"], required=("ss58Format", "tokenDecimals", "tokenSymbol")
        )
        read_integer(properties["ss58Format"], at["properties"]["ss58Format"], 0, 16_383)
        read_integer(properties["tokenDecimals"], at["properties"]["tokenDecimals"], 0, 38)
        read_text(properties["tokenSymbol"], at["properties"]["tokenSymbol"])
        bootnodes = read_list(fields.get("bootnodes", ()), at["bootnodes"], maximum=1_000)
        if not isinstance(fields["genesis"], Mapping):
            raise GenesisError(at["genesis"], "an object with one section per pallet")
        return cls(
            name=read_text(fields["name"], at["name"]),
            id=read_text(fields["id"], at["id"]),
            chain_type=chain_type,
            properties=dict(properties),
            slot_duration_ms=read_integer(fields["slot_duration_ms"], at["slot_duration_ms"], 100, 600_000),
            genesis=dict(fields["genesis"]),
            bootnodes=tuple(read_text(node, at["bootnodes"][i]) for i, node in enumerate(bootnodes)),
            runtime=read_reference(fields["runtime"], at["runtime"]) if "runtime" in fields else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads."""
        return {
            "name": self.name,
            "id": self.id,
            "chain_type": self.chain_type,
            **({} if self.runtime is None else {"runtime": self.runtime}),
            "properties": dict(self.properties),
            "slot_duration_ms": self.slot_duration_ms,
            "bootnodes": list(self.bootnodes),
            "genesis": dict(self.genesis),
        }


@dataclass(frozen=True)
class GenesisBlock:
    """Block 0: its header, the whole state, and the trie nodes of its root."""

    header: Header
    changes: dict[bytes, bytes | None]
    trie: TrieUpdate


def build_genesis(runtime: Runtime, spec: ChainSpec) -> GenesisBlock:
    """Make the genesis block: every pallet reads its section in the order of indices; raises GenesisError."""
    at = GenesisPath("genesis")
    names = tuple(pallet.name for pallet in runtime.pallets)
    sections = read_mapping(spec.genesis, at, required=(), optional=(*names, "constants"))
    overlay = Overlay(DictState())
    with runtime.bind(overlay):
        overlay.write(CODE_KEY, runtime.code, bytes)
        for pallet in runtime.pallets:
            pallet.build_genesis(sections.get(pallet.name, {}), at[pallet.name])
    changes = overlay.changes()
    trie = update(no_node, EMPTY_ROOT, changes)
    return GenesisBlock(Header(ZERO_HASH, 0, trie.root, EMPTY_ROOT), changes, trie)


def no_node(node_hash: bytes) -> bytes:
    """Stand for the node store of an empty trie."""
    raise KeyError(f"an empty trie has no node {node_hash.hex()}")
