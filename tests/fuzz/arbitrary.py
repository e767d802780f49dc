"""Arbitrary values of any SCALE annotation, from a seeded source; integers are small, near a boundary, or anything."""

import dataclasses
import enum
import types
import typing
from random import Random
from typing import Annotated, Any, get_args, get_origin

from runtime.call import RuntimeCall
from runtime.codec import field_types, marker_of
from runtime.construct import Runtime
from runtime.types import Compact, Fixed, MaxLength, SInt, UInt, Variant

ITEMS_MAXIMUM = 4
BYTES_MAXIMUM = 80
NESTED_CALLS_MAXIMUM = 3
KNOWN_PROBABILITY = 0.4
MUTATION_PROBABILITY = 0.25
TEXTS = ("", "u0", "U0", "ä", "9999999999", "\0")


class Arbitrary:
    """Makes values for one runtime. `known` are byte strings worth using: accounts, keys, hashes."""

    def __init__(self, random: Random, runtime: Runtime, known: tuple[bytes, ...] = ()) -> None:
        self.random = random
        self.runtime = runtime
        self.known = known

    def call(self, depth: int = 0) -> RuntimeCall:
        """Any call of the runtime with any arguments; calls inside calls are nested a few times at most."""
        choices = sorted(self.runtime.calls)
        while True:
            pallet, function = self.random.choice(choices)
            spec = self.runtime.calls[pallet, function].spec
            nests = any("RuntimeCall" in str(annotation) for _, annotation in spec.arguments)
            if depth < NESTED_CALLS_MAXIMUM or not nests:
                return self.arguments(pallet, function, depth)

    def arguments(self, pallet: str, function: str, depth: int = 0) -> RuntimeCall:
        """One call with any arguments."""
        spec = self.runtime.calls[pallet, function].spec
        return RuntimeCall(pallet, function, {name: self.value(kind, depth) for name, kind in spec.arguments})

    def value(self, annotation: Any, depth: int = 0) -> Any:
        """A value that encodes as this annotation."""
        if get_origin(annotation) is Annotated:
            base, *markers = get_args(annotation)
            return self._marked(base, markers, depth)
        if annotation is RuntimeCall:
            return self.call(depth + 1)
        if annotation is bool:
            return self.random.random() < 0.5
        if annotation is bytes:
            return self._bytes(BYTES_MAXIMUM)
        if annotation is str:
            return self.random.choice(TEXTS)
        origin = get_origin(annotation)
        if origin is tuple:
            return self._tuple(annotation, ITEMS_MAXIMUM, None, depth)
        if origin in (typing.Union, types.UnionType):
            inner = next(member for member in get_args(annotation) if member is not type(None))
            return None if self.random.random() < 0.5 else self.value(inner, depth)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return self.random.choice(list(annotation))
        if isinstance(annotation, type) and issubclass(annotation, Variant):
            if "__scale_variants__" in annotation.__dict__:
                annotation = self.random.choice([*annotation.__scale_variants__.values()])
            if not dataclasses.is_dataclass(annotation):
                raise TypeError(annotation)
        return self._struct(annotation, depth)

    def mutated(self, annotation: Any, value: Any) -> Any:
        """A value like the given one in which some parts are arbitrary."""
        if self.random.random() < MUTATION_PROBABILITY:
            return self.value(annotation)
        base, *markers = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        if isinstance(value, bytes) and marker_of(markers, Fixed) is None:
            return self._flipped(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = {name: self.mutated(kind, getattr(value, name)) for name, kind in field_types(type(value))}
            return type(value)(**parts)
        if get_origin(base) is tuple and isinstance(value, tuple):
            items = get_args(base)
            if len(items) == 2 and items[1] is Ellipsis:
                return tuple(self.mutated(items[0], item) for item in value)
            return tuple(self.mutated(kind, item) for kind, item in zip(items, value, strict=True))
        return value

    def _marked(self, base: Any, markers: list[Any], depth: int) -> Any:
        if base is int:
            return self._integer(markers)
        fixed = marker_of(markers, Fixed)
        bound = marker_of(markers, MaxLength)
        most = ITEMS_MAXIMUM if bound is None else min(ITEMS_MAXIMUM, bound.length)
        if base is bytes:
            if fixed is None:
                return self._bytes(BYTES_MAXIMUM if bound is None else min(BYTES_MAXIMUM, bound.length))
            same = [item for item in self.known if len(item) == fixed.length]
            if same and self.random.random() < KNOWN_PROBABILITY:
                return self.random.choice(same)
            return self.random.choice((self.random.randbytes(fixed.length), bytes(fixed.length)))
        if base is str:
            fits = [text for text in TEXTS if bound is None or len(text.encode()) <= bound.length]
            return self.random.choice(fits)
        if get_origin(base) is tuple:
            return self._tuple(base, most, fixed, depth)
        return self.value(base, depth)

    def _integer(self, markers: list[Any]) -> int:
        signed = marker_of(markers, SInt)
        found = signed or marker_of(markers, UInt) or marker_of(markers, Compact)
        assert found is not None
        size = found.size_bytes
        end = 1 << 8 * size
        near = (1 << self.random.randrange(8 * size)) + self.random.randrange(-1, 2)
        number = self.random.choice((self.random.randrange(40), near, self.random.randrange(end), end - 1)) % end
        if signed is None:
            return number
        return self.random.choice((-1, -2, -3, number - end // 2, min(number, end // 2 - 1)))

    def _tuple(self, annotation: Any, most: int, fixed: Fixed | None, depth: int) -> tuple[Any, ...]:
        items = get_args(annotation)
        if len(items) == 2 and items[1] is Ellipsis:
            count = self.random.randrange(most + 1) if fixed is None else fixed.length
            return tuple(self.value(items[0], depth) for _ in range(count))
        return tuple(self.value(item, depth) for item in items)

    def _struct(self, annotation: Any, depth: int) -> Any:
        target = get_origin(annotation) or annotation
        return target(**{name: self.value(kind, depth) for name, kind in field_types(annotation)})

    def _bytes(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randrange(most + 1))

    def _flipped(self, value: bytes) -> bytes:
        if not value or self.random.random() < 0.5:
            return value
        changed = bytearray(value)
        changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        end = self.random.choice((len(changed), len(changed), self.random.randrange(len(changed) + 1)))
        return bytes(changed[:end])
