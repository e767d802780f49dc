"""Chain values as JSON and back, directed by a chain's metadata.

Integers are numbers (or decimal text on the way in), bytes 0x-hexadecimal, accounts SS58 (or hexadecimal, or //Name on
the way in), structs objects, enums their variant's name or {name: fields}, calls {"pallet", "call", "args"}, none null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from node.client.generic import NamedVariant, parts_of, variant_name
from node.client.metadata import ChainMetadata
from node.keys.derivation import BadSecretUri, is_development_uri, keypair_from_uri
from runtime.account import MultiAddress
from runtime.call import RuntimeCall
from runtime.crypto import ss58_decode, ss58_encode
from runtime.portable import (
    ArrayDef,
    CompactDef,
    CompositeDef,
    EnumDef,
    Field,
    PalletMetadata,
    PrimitiveDef,
    PrimitiveKind,
    SequenceDef,
    StorageEntry,
    TupleDef,
    TypeDef,
    VariantDef,
)

MAX_DEPTH: Final = 64
ACCOUNT_BYTES: Final = 32
ACCOUNT_PATH: Final = ("sp_core", "crypto", "AccountId32")
ADDRESS_PATH: Final = MultiAddress.__scale_path__
TEXT_KINDS: Final = {PrimitiveKind.BOOL: (bool, "true or false"), PrimitiveKind.STR: (str, "text")}


class BadValue(ValueError):
    """A JSON value does not fit its type; the text says where and what is expected."""


# --- names


def find_pallet(metadata: ChainMetadata, name: str) -> PalletMetadata:
    """The pallet of this name, in any case of letters; raises BadValue with those that exist."""
    for pallet in metadata.pallets.values():
        if pallet.name.lower() == name.lower():
            return pallet
    raise BadValue(f"there is no pallet {name}; there are {', '.join(metadata.pallets)}")


def find_item(metadata: ChainMetadata, pallet: str, name: str) -> tuple[str, StorageEntry]:
    """The pallet's name and its storage item of this name, in any case of letters; raises BadValue."""
    found = find_pallet(metadata, pallet).name
    entries = metadata.items(found)
    for entry in entries:
        if entry.name.lower() == name.lower():
            return found, entry
    raise BadValue(f"{found} stores no {name}; it stores {', '.join(one.name for one in entries) or 'nothing'}")


def signature(pallet: str, call: VariantDef) -> str:
    """How a call is written, such as `Balances.transfer_keep_alive(dest: MultiAddress, value: Compact<u128>)`."""
    shown = ", ".join(f"{field.name}: {field.type_name}" for field in call.fields)
    return f"{pallet}.{call.name}({shown})"


# --- in


def call_from_json(
    metadata: ChainMetadata, pallet: str, function: str, arguments: Mapping[str, Any], depth: int = 0
) -> RuntimeCall:
    """The call with these JSON arguments; raises BadValue, also for an unknown, a missing and a surplus name."""
    found = find_pallet(metadata, pallet).name
    calls = {call.name: call for call in metadata.calls(found)}
    if function not in calls:
        raise BadValue(f"{found} has no call {function}; it has {', '.join(calls) or 'none'}")
    where, call = f"{found}.{function}", calls[function]
    return RuntimeCall(
        found, function, _fields(metadata, call.fields, arguments, where, depth, signature(found, call))
    )


def from_json(metadata: ChainMetadata, kind: int, value: Any, where: str = "value", depth: int = 0) -> Any:
    """A value that the codec of the type encodes; raises BadValue. Ranges are the codec's to check."""
    if depth > MAX_DEPTH:
        raise BadValue(f"{where} is nested deeper than {MAX_DEPTH}")
    if kind == metadata.types.call_type:
        return _call(metadata, value, where, depth)
    found = metadata.types[kind]
    if found.path == ACCOUNT_PATH:
        return _account(value, where)
    if found.path == ADDRESS_PATH and isinstance(value, str):
        return NamedVariant("MultiAddress", "Id", {"0": _account(value, where)})
    match found.definition:
        case PrimitiveDef(primitive):
            if primitive in TEXT_KINDS:
                return _expect(value, *TEXT_KINDS[primitive], where)
            return _integer(value, where)
        case CompactDef():
            return _integer(value, where)
        case CompositeDef((Field(None, inner),)):
            return from_json(metadata, inner, value, where, depth + 1)
        case CompositeDef(fields) if fields and fields[0].name is None:
            return _items(metadata, [field.type for field in fields], value, where, depth)
        case CompositeDef(fields):
            return _fields(metadata, fields, value, where, depth)
        case EnumDef(variants) if found.path == ("Option",):
            return None if value is None else from_json(metadata, variants[1].fields[0].type, value, where, depth + 1)
        case EnumDef(variants):
            return _variant(metadata, variants, value, where, depth)
        case TupleDef(()):
            return None
        case TupleDef(kinds):
            return _items(metadata, kinds, value, where, depth)
        case definition:
            return _sequence(metadata, definition, value, where, depth)


def _sequence(metadata: ChainMetadata, definition: TypeDef, value: Any, where: str, depth: int) -> Any:
    assert isinstance(definition, SequenceDef | ArrayDef)
    length = definition.length if isinstance(definition, ArrayDef) else None
    if _is_byte(metadata, definition.type):
        return _bytes(value, where, length)
    items = _expect(value, list, "a list", where)
    return _items(metadata, [definition.type] * (len(items) if length is None else length), items, where, depth)


def _items(metadata: ChainMetadata, kinds: Sequence[int], value: Any, where: str, depth: int) -> tuple[Any, ...]:
    items = _expect(value, list, "a list", where)
    if len(items) != len(kinds):
        raise BadValue(f"{where}: expected {len(kinds)} items, got {len(items)}")
    numbered = enumerate(zip(kinds, items, strict=True))
    return tuple(from_json(metadata, kind, item, f"{where}[{at}]", depth + 1) for at, (kind, item) in numbered)


def _fields(
    metadata: ChainMetadata, declared: Sequence[Field], value: Any, where: str, depth: int, expected: str = ""
) -> dict[str, Any]:
    given = dict(_expect(value, Mapping, "an object", where))
    hint = f": {expected}" if expected else ""
    values: dict[str, Any] = {}
    for position, field in enumerate(declared):
        name = field.name or str(position)
        if name not in given:
            raise BadValue(f"{where}: {name} is missing{hint}")
        values[name] = from_json(metadata, field.type, given.pop(name), f"{where}.{name}", depth + 1)
    if given:
        raise BadValue(f"{where} has no {next(iter(given))}{hint}")
    return values


def _call(metadata: ChainMetadata, value: Any, where: str, depth: int) -> RuntimeCall:
    if not isinstance(value, Mapping) or not {"pallet", "call"} <= set(value) <= {"pallet", "call", "args"}:
        raise BadValue(f'{where}: expected {{"pallet": …, "call": …, "args": {{…}}}}')
    return call_from_json(metadata, str(value["pallet"]), str(value["call"]), value.get("args", {}), depth + 1)


def _variant(metadata: ChainMetadata, variants: Sequence[VariantDef], value: Any, where: str, depth: int) -> Any:
    name, content = (value, {}) if isinstance(value, str) else _only_item(value, where)
    chosen = next((variant for variant in variants if variant.name == name), None)
    if chosen is None:
        raise BadValue(f"{where}: expected one of {', '.join(variant.name for variant in variants)}")
    if len(chosen.fields) == 1 and chosen.fields[0].name is None:
        content = {"0": content}
    return NamedVariant("", str(name), _fields(metadata, chosen.fields, content, f"{where}.{name}", depth))


def _only_item(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadValue(f"{where}: expected a variant's name, or an object with the name as its only key")
    return next(iter(value.items()))


def _expect(value: Any, kind: Any, expected: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise BadValue(f"{where}: expected {expected}")
    return value


def _integer(value: Any, where: str) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise BadValue(f"{where}: expected a whole number") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue(f"{where}: expected a whole number")
    return value


def _bytes(value: Any, where: str, length: int | None) -> bytes:
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else None
    except ValueError:
        data = None
    if data is None or length not in (None, len(data)):
        raise BadValue(f"{where}: expected {'' if length is None else f'{length} '}bytes as 0x and hexadecimal digits")
    return data


def _account(value: Any, where: str) -> bytes:
    """An account id from SS58, hexadecimal or a development URI."""
    text = _expect(value, str, "an account", where)
    reading: Callable[[str], bytes] = ss58_decode
    if text.startswith("0x"):
        return _bytes(text, where, ACCOUNT_BYTES)
    if is_development_uri(text):
        reading = _development_account
    try:
        return reading(text)
    except (ValueError, BadSecretUri) as error:
        raise BadValue(f"{where}: expected an SS58 address, 0x and hexadecimal digits, or //Name ({error})") from None


def _development_account(uri: str) -> bytes:
    return keypair_from_uri(uri).account_id


# --- out


def to_json(metadata: ChainMetadata, kind: int, value: Any) -> Any:
    """What `from_json` would read as the same value."""
    if isinstance(value, RuntimeCall):
        call = metadata.find_call(value.pallet, value.function)
        arguments = _fields_json(metadata, call.fields, value.arguments)
        return {"pallet": value.pallet, "call": value.function, "args": arguments}
    if value is None or isinstance(value, bool | int | str):
        return value
    found = metadata.types[kind]
    if isinstance(value, bytes):
        return ss58_encode(value) if found.path == ACCOUNT_PATH else f"0x{value.hex()}"
    match found.definition:
        case CompositeDef((Field(None, inner),)):
            return to_json(metadata, inner, value)
        case CompositeDef(fields) if fields and fields[0].name is None:
            return _items_json(metadata, [field.type for field in fields], value)
        case CompositeDef(fields):
            return _fields_json(metadata, fields, value)
        case EnumDef(variants) if found.path == ("Option",):
            return to_json(metadata, variants[1].fields[0].type, value)
        case EnumDef(variants):
            name = variant_name(value)
            chosen = next(variant for variant in variants if variant.name == name)
            if found.path == ADDRESS_PATH and name == "Id":
                return ss58_encode(parts_of(value, chosen.fields)[0])
            return _variant_json(metadata, chosen, value)
        case TupleDef(kinds):
            return _items_json(metadata, kinds, value)
        case definition:
            assert isinstance(definition, SequenceDef | ArrayDef)
            return [to_json(metadata, definition.type, item) for item in value]


def event_json(metadata: ChainMetadata, event: Any) -> dict[str, Any]:
    """An event with its pallet: {"name": "Balances.Transfer", "data": {…}}."""
    pallet = metadata.pallet_of_event(event)
    definition = metadata.types[metadata.event_types[pallet]].definition if pallet is not None else None
    assert isinstance(definition, EnumDef)
    name = variant_name(event)
    chosen = next(variant for variant in definition.variants if variant.name == name)
    return {"name": f"{pallet}.{name}", "data": _fields_json(metadata, chosen.fields, event)}


def _items_json(metadata: ChainMetadata, kinds: Sequence[int], value: Any) -> list[Any]:
    return [to_json(metadata, kind, item) for kind, item in zip(kinds, value, strict=True)]


def _fields_json(metadata: ChainMetadata, fields: Sequence[Field], value: Any) -> dict[str, Any]:
    parts = parts_of(value, fields) if fields else []
    named = enumerate(zip(fields, parts, strict=True))
    return {field.name or str(at): to_json(metadata, field.type, part) for at, (field, part) in named}


def _variant_json(metadata: ChainMetadata, variant: VariantDef, value: Any) -> Any:
    if not variant.fields:
        return variant.name
    shown = _fields_json(metadata, variant.fields, value)
    is_tuple = len(variant.fields) == 1 and variant.fields[0].name is None
    return {variant.name: next(iter(shown.values())) if is_tuple else shown}


def _is_byte(metadata: ChainMetadata, kind: int) -> bool:
    return metadata.types[kind].definition == PrimitiveDef(PrimitiveKind.U8)
