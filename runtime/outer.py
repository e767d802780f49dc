"""The outer types of a runtime: `RuntimeCall` and `RuntimeEvent`, enums over its pallets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime import limits
from runtime.call import Arguments, RuntimeCall
from runtime.codec import Codec, Codecs, product_codec
from runtime.errors import CodecError
from runtime.events import Event
from runtime.pallet import CallSpec, Pallet


def call_codec(pallets: tuple[Pallet, ...], codecs: Codecs) -> Codec[RuntimeCall]:
    """Return the codec of RuntimeCall: pallet index, call index, arguments; calls nest at most `limits.CALL_DEPTH`."""
    readers: dict[int, dict[int, Codec[Any]]] = {}
    writers: dict[tuple[str, str], tuple[bytes, Codec[Any]]] = {}
    for pallet in pallets:
        table = readers.setdefault(pallet.index, {})
        for spec in pallet.call_specs():
            codec = arguments_codec(pallet.name, spec, codecs)
            table[spec.index] = codec
            writers[pallet.name, spec.name] = (bytes([pallet.index, spec.index]), codec)
    depth = 0

    def encode(call: Any) -> bytes:
        if type(call) is not RuntimeCall:
            raise CodecError(f"expected a RuntimeCall, got {type(call).__name__}")
        entry = writers.get((call.pallet, call.function))
        if entry is None:
            raise CodecError(f"the runtime has no call {call.name}")
        try:
            return entry[0] + entry[1].encode(call.arguments)
        except CodecError as error:
            raise error.within(call.name) from None

    def read(data: bytes, offset: int) -> tuple[RuntimeCall, int]:
        nonlocal depth
        if offset + 2 > len(data):
            raise CodecError("a call begins with a pallet index and a call index", offset)
        pallet_calls = readers.get(data[offset])
        if pallet_calls is None:
            raise CodecError(f"the runtime has no pallet {data[offset]}", offset)
        codec = pallet_calls.get(data[offset + 1])
        if codec is None:
            raise CodecError(f"pallet {data[offset]} has no call {data[offset + 1]}", offset + 1)
        if depth >= limits.CALL_DEPTH:
            raise CodecError(f"calls are nested deeper than {limits.CALL_DEPTH}", offset)
        depth += 1
        try:
            call, end = codec.read(data, offset + 2)
        except CodecError as error:
            raise error.within(codec.name) from None
        finally:
            depth -= 1
        return call, end

    return Codec("RuntimeCall", encode, read, 2)


def arguments_codec(pallet: str, spec: CallSpec, codecs: Codecs) -> Codec[Any]:
    """Return the codec of one call's arguments: it encodes a mapping by name and reads a whole RuntimeCall."""
    names = tuple(name for name, _ in spec.arguments)
    fields = tuple((name, codec_of_argument(pallet, spec, name, codecs)) for name in names)
    function = spec.name

    def split(arguments: Mapping[str, Any]) -> list[Any]:
        if len(arguments) != len(names) or any(name not in arguments for name in names):
            raise CodecError(f"the arguments are ({', '.join(names)}), got ({', '.join(map(str, arguments))})")
        return [arguments[name] for name in names]

    def build(values: list[Any]) -> RuntimeCall:
        return RuntimeCall(pallet, function, Arguments(zip(names, values, strict=True)))

    return product_codec(f"{pallet}.{function}", fields, build=build, split=split)


def codec_of_argument(pallet: str, spec: CallSpec, name: str, codecs: Codecs) -> Codec[Any]:
    """Return the codec of one argument; the TypeError of an argument without one names the call."""
    try:
        codec: Codec[Any] = codecs.codec_for(dict(spec.arguments)[name])
    except TypeError as error:
        raise TypeError(f"{pallet}.{spec.name}({name}): {error}") from error
    return codec


def event_codec(pallets: tuple[Pallet, ...], codecs: Codecs) -> Codec[Event]:
    """Return the codec of RuntimeEvent: pallet index, event index, fields."""
    readers: dict[int, Codec[Any]] = {}
    writers: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {}
    for pallet in pallets:
        if pallet.Event is None:
            continue
        root: Any = pallet.Event
        codec: Codec[Any] = codecs.codec_for(root)
        readers[pallet.index] = codec
        for variant in root.__scale_variants__.values():
            writers[variant] = (bytes([pallet.index]), codec.encode)

    def encode(event: Any) -> bytes:
        entry = writers.get(type(event))
        if entry is None:
            raise CodecError(f"{type(event).__name__} is no event of a pallet of this runtime")
        return entry[0] + entry[1](event)

    def read(data: bytes, offset: int) -> tuple[Event, int]:
        if offset >= len(data):
            raise CodecError("an event begins with a pallet index", offset)
        codec = readers.get(data[offset])
        if codec is None:
            raise CodecError(f"no pallet {data[offset]} has events", offset)
        return codec.read(data, offset + 1)

    return Codec("RuntimeEvent", encode, read, 2)
