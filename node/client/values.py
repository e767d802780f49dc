"""Chain values as JSON and back, directed by the annotations that also make their codecs.

Integers are numbers (or decimal text on the way in), bytes 0x-hexadecimal, accounts SS58 (or hexadecimal, or //Name on
the way in), structs objects, enums their variant's name or {name: fields}, calls {"pallet", "call", "args"}, none null.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

from node.keys.derivation import BadSecretUri, is_development_uri, keypair_from_uri
from runtime.account import Id, MultiAddress
from runtime.call import RuntimeCall
from runtime.codec import field_types, marker_of
from runtime.construct import Runtime
from runtime.crypto import ss58_decode, ss58_encode
from runtime.errors import DispatchErrorValue, Module
from runtime.events import Event
from runtime.pallet import CallSpec
from runtime.registry import type_name
from runtime.types import AccountId, Err, Fixed, MaxLength, Ok, Outer, Variant, camel_case, scale_name

MAX_DEPTH: Final = 64
ACCOUNT_PATH: Final = get_args(AccountId)[1].path


class BadValue(ValueError):
    """A JSON value does not fit its type; the text says where and what is expected."""


def call_from_json(
    runtime: Runtime, pallet: str, function: str, arguments: Mapping[str, Any], depth: int = 0
) -> RuntimeCall:
    """The call with these JSON arguments; raises BadValue, also for an unknown, a missing and a surplus name."""
    found = find_pallet(runtime, pallet)
    specs = {spec.name: spec for spec in found.call_specs()}
    spec = specs.get(function)
    if spec is None:
        raise BadValue(f"{found.name} has no call {function}; it has {', '.join(specs) or 'none'}")
    where, expected = f"{found.name}.{function}", signature(found.name, spec)
    values = _fields(runtime, spec.arguments, arguments, where, depth, expected)
    return RuntimeCall(found.name, function, values)


def find_pallet(runtime: Runtime, name: str) -> Any:
    """The pallet of this name, in any case of letters; raises BadValue with those that exist."""
    for pallet in runtime.pallets:
        if pallet.name.lower() == name.lower():
            return pallet
    raise BadValue(f"there is no pallet {name}; there are {', '.join(pallet.name for pallet in runtime.pallets)}")


def signature(pallet: str, spec: CallSpec) -> str:
    """How a call is written, such as `Balances.transfer_keep_alive(dest: MultiAddress, value: Compact<u128>)`."""
    shown = ", ".join(f"{scale_name(name)}: {type_name(annotation)}" for name, annotation in spec.arguments)
    return f"{pallet}.{spec.name}({shown})"


def from_json(runtime: Runtime, annotation: Any, value: Any, where: str = "value", depth: int = 0) -> Any:
    """The Python value of an annotation; raises BadValue. Bounds and ranges are the codec's to check."""
    if depth > MAX_DEPTH:
        raise BadValue(f"{where} is nested deeper than {MAX_DEPTH}")

    def inner(kind: Any, part: Any, name: str) -> Any:
        return from_json(runtime, kind, part, f"{where}{name}", depth + 1)

    base, markers = _split(annotation)
    if marker_of(markers, Outer) is not None or base is RuntimeCall:
        return _call(runtime, value, where, depth)
    if base is MultiAddress and isinstance(value, str):
        return Id(_account(value, where))
    if base is bytes:
        fixed = marker_of(markers, Fixed)
        is_account = fixed is not None and fixed.path == ACCOUNT_PATH
        return _account(value, where) if is_account else _bytes(value, where, fixed)
    if base in (bool, str):
        return _expect(value, base, where, "true or false" if base is bool else "text")
    if base is int:
        return _integer(value, where)
    origin, arguments = get_origin(base), get_args(base)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        return None if value is None else inner(kinds[0], value, "")
    if origin is tuple:
        items = _expect(value, list, where, "a list")
        kinds = [arguments[0]] * len(items) if arguments[1:] == (Ellipsis,) else list(arguments)
        if len(items) != len(kinds):
            raise BadValue(f"{where}: expected {len(kinds)} items, got {len(items)}")
        return tuple(inner(kind, item, f"[{at}]") for at, (kind, item) in enumerate(zip(kinds, items, strict=True)))
    target: Any = origin or base
    if issubclass(target, enum.Enum):
        return _choose({camel_case(member.name): member for member in target}, value, where)
    if issubclass(target, Variant):
        return _variant(runtime, target, value, where, depth)
    return target(**_fields(runtime, field_types(base), value, where, depth))


def to_json(annotation: Any, value: Any) -> Any:
    """What `from_json` would read as the same value."""
    base, markers = _split(annotation)
    fixed = marker_of(markers, Fixed)
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, bytes):
        is_account = fixed is not None and fixed.path == ACCOUNT_PATH
        return ss58_encode(value) if is_account else f"0x{value.hex()}"
    if isinstance(value, enum.Enum):
        return camel_case(value.name)
    if isinstance(value, RuntimeCall):
        return {"pallet": value.pallet, "call": value.function, "args": untyped_json(dict(value.arguments))}
    if isinstance(value, Id):
        return ss58_encode(value.account)
    if isinstance(value, Ok | Err):
        return {type(value).__name__: untyped_json(value.value if isinstance(value, Ok) else value.error)}
    if isinstance(value, Variant):
        return _variant_json(value)
    origin, arguments = get_origin(base), get_args(base)
    if origin in (typing.Union, types.UnionType):
        return to_json(next(kind for kind in arguments if kind is not type(None)), value)
    if isinstance(value, tuple):
        kinds = [arguments[0]] * len(value) if arguments[1:] == (Ellipsis,) else list(arguments)
        return [to_json(kind, item) for kind, item in zip(kinds, value, strict=True)]
    return {scale_name(name): to_json(kind, getattr(value, name)) for name, kind in field_types(base)}


def untyped_json(value: Any) -> Any:
    """As `to_json` where no annotation is at hand: plain bytes stay hexadecimal."""
    if isinstance(value, Mapping):
        return {scale_name(str(name)): untyped_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [untyped_json(item) for item in value]
    return to_json(type(value), value)


def event_json(runtime: Runtime, event: Event) -> dict[str, Any]:
    """An event with its pallet: {"name": "Balances.Transfer", "data": {…}}."""
    pallet = next(one.name for one in runtime.pallets if one.Event is not None and isinstance(event, one.Event))
    data = {scale_name(name): to_json(kind, getattr(event, name)) for name, kind in field_types(type(event))}
    return {"name": f"{pallet}.{_variant_name(type(event))}", "data": data}


def error_text(runtime: Runtime, error: DispatchErrorValue) -> str:
    """An error of a call by its names, such as "DatDot.UnknownUser: The account is not a user of the market."."""
    if isinstance(error, Module):
        for pallet in runtime.pallets:
            members = list(pallet.Error or ())
            if pallet.index == error.value.index and error.value.error[0] < len(members):
                member = members[error.value.error[0]]
                return f"{pallet.name}.{camel_case(member.name)}: {member.value}"
    parts = [_variant_name(type(error))]
    parts += [str(getattr(part, "value", part)) for part in vars(error).values()]
    return ": ".join(parts)


def _split(annotation: Any) -> tuple[Any, Sequence[object]]:
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    base, *markers = get_args(annotation)
    return base, [marker for marker in markers if not isinstance(marker, MaxLength)]


def _fields(
    runtime: Runtime, declared: Sequence[tuple[str, Any]], value: Any, where: str, depth: int, expected: str = ""
) -> dict[str, Any]:
    given = dict(_expect(value, Mapping, where, "an object"))
    values: dict[str, Any] = {}
    for name, annotation in declared:
        shown = scale_name(name)
        if shown not in given:
            raise BadValue(f"{where}: {shown} is missing{_as_in(expected)}")
        values[name] = from_json(runtime, annotation, given.pop(shown), f"{where}.{shown}", depth + 1)
    if given:
        raise BadValue(f"{where} has no {next(iter(given))}{_as_in(expected)}")
    return values


def _as_in(expected: str) -> str:
    return f": {expected}" if expected else ""


def _call(runtime: Runtime, value: Any, where: str, depth: int) -> RuntimeCall:
    if not isinstance(value, Mapping) or not {"pallet", "call"} <= set(value) <= {"pallet", "call", "args"}:
        raise BadValue(f'{where}: expected {{"pallet": …, "call": …, "args": {{…}}}}')
    return call_from_json(runtime, str(value["pallet"]), str(value["call"]), value.get("args", {}), depth)


def _variant(runtime: Runtime, target: Any, value: Any, where: str, depth: int) -> Any:
    name, content = (value, {}) if isinstance(value, str) else _only_item(value, where)
    chosen = _choose({_variant_name(one): one for one in target.__scale_variants__.values()}, name, where)
    declared = field_types(chosen)
    if chosen.__scale_unnamed__ and len(declared) == 1:
        content = {scale_name(declared[0][0]): content}
    return chosen(**_fields(runtime, declared, content, f"{where}.{name}", depth))


def _variant_json(value: Any) -> Any:
    name, declared = _variant_name(type(value)), field_types(type(value))
    shown = {scale_name(field): to_json(kind, getattr(value, field)) for field, kind in declared}
    if not declared:
        return name
    return {name: next(iter(shown.values())) if type(value).__scale_unnamed__ and len(shown) == 1 else shown}


def _variant_name(variant: type) -> str:
    name: str = variant.__dict__.get("__scale_name__", scale_name(variant.__name__))
    return name


def _choose(choices: Mapping[str, Any], name: Any, where: str) -> Any:
    if name not in choices:
        raise BadValue(f"{where}: expected one of {', '.join(choices)}")
    return choices[name]


def _only_item(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadValue(f"{where}: expected a variant's name, or an object with the name as its only key")
    return next(iter(value.items()))


def _expect(value: Any, kind: Any, where: str, expected: str) -> Any:
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


def _bytes(value: Any, where: str, fixed: Fixed | None) -> bytes:
    length = "" if fixed is None else f"{fixed.length} "
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else None
    except ValueError:
        data = None
    if data is None or (fixed is not None and len(data) != fixed.length):
        raise BadValue(f"{where}: expected {length}bytes as 0x and hexadecimal digits")
    return data


def _account(value: Any, where: str) -> bytes:
    """An account id from SS58, hexadecimal or a development URI."""
    text = _expect(value, str, where, "an account")
    reading: Callable[[str], bytes] = ss58_decode
    if text.startswith("0x"):
        return _bytes(text, where, get_args(AccountId)[1])
    if is_development_uri(text):
        reading = _development_account
    try:
        return reading(text)
    except (ValueError, BadSecretUri) as error:
        raise BadValue(f"{where}: expected an SS58 address, 0x and hexadecimal digits, or //Name ({error})") from None


def _development_account(uri: str) -> bytes:
    return keypair_from_uri(uri).account_id
