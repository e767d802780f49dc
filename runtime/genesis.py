"""Chain files: what a chain is made of, read strictly, and the genesis block made from one.

Every mistake is a `GenesisError` with the place in the file, such as `genesis.Balances.balances[3][1]`, and what was
expected there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.crypto import AddressError, ss58_decode
from runtime.errors import RuntimeFault
from runtime.header import Header
from runtime.state import DictState, Overlay
from runtime.trie import EMPTY_ROOT, TrieUpdate, update
from runtime.version import CODE_KEY

if TYPE_CHECKING:
    from runtime.construct import Runtime

ZERO_HASH = bytes(32)
CHAIN_TYPES = ("Development", "Local", "Live")
LIST_ITEMS_MAXIMUM = 1_000_000


class GenesisPath:
    """A place in a chain file; `path["balances"][3]` is deeper."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, step: str | int) -> GenesisPath:
        return GenesisPath(f"{self.text}[{step}]" if isinstance(step, int) else f"{self.text}.{step}")

    def __str__(self) -> str:
        return self.text


class GenesisError(RuntimeFault):
    """A chain file is wrong at `path`; `expected` says what must stand there."""

    def __init__(self, path: GenesisPath | str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = str(path)
        self.expected = expected


def read_mapping(
    value: Any, at: GenesisPath, *, required: Sequence[str], optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return an object that has exactly the named keys."""
    if not isinstance(value, Mapping):
        raise GenesisError(at, "an object")
    for key in value:
        if key not in required and key not in optional:
            allowed = ", ".join((*required, *optional)) or "no keys at all"
            raise GenesisError(at[str(key)], f"one of these keys instead: {allowed}")
    for key in required:
        if key not in value:
            raise GenesisError(at[key], "a value, but it is missing")
    return value


def read_list(value: Any, at: GenesisPath, *, maximum: int = LIST_ITEMS_MAXIMUM) -> Sequence[Any]:
    """Return a list of at most `maximum` items."""
    if not isinstance(value, list | tuple):
        raise GenesisError(at, "a list")
    if len(value) > maximum:
        raise GenesisError(at, f"at most {maximum} items, there are {len(value)}")
    return value


def read_integer(value: Any, at: GenesisPath, minimum: int = 0, maximum: int = 2**128 - 1) -> int:
    """Return an integer in a range; a text of digits is taken too, for numbers that JSON readers would round."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) <= 40:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise GenesisError(at, f"an integer from {minimum} to {maximum}")
    return value


def read_text(value: Any, at: GenesisPath) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise GenesisError(at, "a text")
    return value


def read_bytes(value: Any, at: GenesisPath, length: int | None = None) -> bytes:
    """Return bytes written as 0x and hexadecimal digits, of `length` bytes if given."""
    wanted = "0x and hexadecimal digits" + ("" if length is None else f" of {length} bytes")
    if not isinstance(value, str) or not value.startswith("0x"):
        raise GenesisError(at, wanted)
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise GenesisError(at, wanted) from None
    if length is not None and len(data) != length:
        raise GenesisError(at, wanted)
    return data


def read_account(value: Any, at: GenesisPath) -> bytes:
    """Return an account id written as an SS58 address or as 0x and 64 hexadecimal digits."""
    if isinstance(value, str) and value.startswith("0x"):
        return read_bytes(value, at, 32)
    try:
        return ss58_decode(read_text(value, at))
    except AddressError as error:
        raise GenesisError(at, f"an SS58 address or 0x and 64 hexadecimal digits ({error})") from None


def read_reference(value: Any, at: GenesisPath) -> str:
    """Return the name of a function: `module:function`, of plain dotted names; never a path."""
    module, _, function = read_text(value, at).partition(":")
    if not all(part.isascii() and part.isidentifier() for part in (*module.split("."), function)):
        raise GenesisError(at, "module:function, such as demo.chain:runtime_for")
    return f"{module}:{function}"


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
