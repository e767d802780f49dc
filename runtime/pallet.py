"""How a pallet is declared: calls, storage, events, errors and constants; everything else is derived from that.

A pallet is a class with `name`, `index`, `Config`, `Event`, `Error`, storage items as class attributes and methods
marked with `@call`. `pallets/balances` shows the shape.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from runtime.call import RuntimeCall
from runtime.errors import InvalidTransaction, PalletError, Validity
from runtime.events import Event as AnyEvent
from runtime.genesis_fields import GenesisPath, read_mapping
from runtime.offchain import OffchainContext
from runtime.roles import RuntimeRole
from runtime.storage import StorageItem, storage_items
from runtime.types import camel_case, default_path, docs_of
from runtime.weights import NORMAL, ZERO_WEIGHT, DispatchClass, DispatchInfo, Pays, Weight

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

CALL_MARK = "__pallet_call__"
"""Attribute by which `@call` marks a function."""
WeightOf = Weight | Callable[..., Weight]
"""A fixed weight, or a function of (pallet, **arguments)."""
ClassOf = DispatchClass | Callable[..., DispatchClass]
"""A fixed class, or a function of (pallet, **arguments)."""


@dataclass(frozen=True)
class CallSpec:
    """A call as declared: its SCALE index, its arguments (name, annotation), what it costs and who may be bare."""

    name: str
    index: int
    function: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...]
    weight: WeightOf
    dispatch_class: ClassOf
    pays_fee: bool
    inherent: bool
    docs: tuple[str, ...]

    def info(self, pallet: Pallet, call: RuntimeCall) -> DispatchInfo:
        """Return weight, class and payment of a call with these arguments."""
        pays = Pays.YES if self.pays_fee else Pays.NO
        return DispatchInfo(self.weight_of(pallet, call), self.class_of(pallet, call), pays)

    def weight_of(self, pallet: Pallet, call: RuntimeCall) -> Weight:
        """Return the declared weight of a call with these arguments."""
        weight = self.weight
        return weight if isinstance(weight, Weight) else weight(pallet, **call.arguments)

    def class_of(self, pallet: Pallet, call: RuntimeCall) -> DispatchClass:
        """Return the dispatch class of a call with these arguments."""
        kind = self.dispatch_class
        return kind if isinstance(kind, DispatchClass) else kind(pallet, **call.arguments)


@dataclass(frozen=True)
class UnsignedValidity:
    """What a pallet says of a valid unsigned call (`sp_runtime::ValidTransaction`); longevity in blocks.

    Tags order transactions: one that provides a tag replaces another that does, if its priority is higher.
    """

    provides: tuple[bytes, ...]
    requires: tuple[bytes, ...] = ()
    priority: int = 0
    longevity: int = 64
    propagate: bool = True


@dataclass(frozen=True)
class ConstantSpec:
    """A constant of the metadata: its name, annotation, value and docs."""

    name: str
    annotation: Any
    value: Any
    docs: tuple[str, ...]


@dataclass(frozen=True)
class _Marked:
    """What `@call` leaves on a function until the pallet's class is complete."""

    weight: WeightOf
    dispatch_class: ClassOf
    pays_fee: bool
    inherent: bool
    index: int | None


def call(
    *,
    weight: WeightOf,
    dispatch_class: ClassOf = NORMAL,
    pays_fee: bool = True,
    inherent: bool = False,
    index: int | None = None,
) -> Callable[[F], F]:
    """Make a method callable by extrinsics: `def f(self, origin: Origin, a: U32) -> PostDispatchInfo | None`.

    The call index is one more than that of the call declared before unless `index` is given. `weight` and
    `dispatch_class` may be functions of (pallet, **arguments). An `inherent` is bare and stands in every block once.
    """

    def mark(function: F) -> F:
        vars(function)[CALL_MARK] = _Marked(weight, dispatch_class, pays_fee, inherent, index)
        return function

    return mark


def constant(default: T, docs: str, *, name: str | None = None) -> T:
    """Declare a field of a Config dataclass: its default, a doc line with the unit, another metadata name if given."""
    field: Any = dataclasses.field(default=default, metadata={"docs": docs, "name": name})
    return typing.cast(T, field)


class Pallet:
    """Base of all pallets. Subclasses set the class attributes and, for typing, annotate `config: TheirConfig`."""

    name: ClassVar[str]
    index: ClassVar[int]
    Config: ClassVar[type[Any] | None] = None
    Event: ClassVar[type[AnyEvent] | None] = None
    Error: ClassVar[type[PalletError] | None] = None
    crate: ClassVar[str] = ""
    """First segment of the pallet's paths in the metadata, by default `pallet_` and the name of its module."""

    digest_engines: ClassVar[tuple[bytes, ...]] = ()
    """Engines (4 bytes) whose Consensus items the author puts into a header before the block is executed."""

    config: Any
    runtime: RuntimeRole

    def __init__(self, config: Any = None) -> None:
        if self.Config is not None and not isinstance(config, self.Config):
            raise TypeError(f"{self.name} wants a {self.Config.__name__}, got {type(config).__name__}")
        self.config = config

    def attach(self, runtime: RuntimeRole) -> None:
        """Connect the pallet's storage items to a runtime; `Runtime` does this once."""
        if "runtime" in self.__dict__:
            raise ValueError(f"pallet {self.name} already belongs to a runtime")
        self.runtime = runtime
        for attribute, item in storage_items(type(self)).items():
            self.__dict__[attribute] = item.attach(self.name, runtime.codecs, runtime.host)

    def deposit_event(self, event: AnyEvent) -> None:
        """Add an event to the block."""
        self.runtime.system.deposit_event(event)

    def on_initialize(self, number: int) -> Weight:
        """Run at the begin of block `number`, in the order of pallet indices; return the weight used."""
        return ZERO_WEIGHT

    def on_idle(self, number: int, remaining: Weight) -> Weight:
        """Run after the last extrinsic with the weight that is left; return the weight used."""
        return ZERO_WEIGHT

    def on_finalize(self, number: int) -> None:
        """Run at the end of block `number`, in the order of pallet indices."""

    def offchain_worker(self, number: int, context: OffchainContext) -> None:
        """Run on this node alone, after it has imported best block `number`; see `runtime.offchain`."""

    def validate_unsigned(self, call: RuntimeCall) -> UnsignedValidity:
        """Tell whether a call of this pallet may come without a signature; by default none may.

        Runs in the pool and again in the block. Raises InvalidTransaction. Nobody pays for such a call, so the pallet
        must bound how many of them are valid at a time.
        """
        raise InvalidTransaction(Validity.NO_UNSIGNED_VALIDATOR, f"{call.name} must be signed")

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Write the genesis state from this pallet's section of the chain file; raises GenesisError."""
        read_mapping(genesis, at, required=())

    def try_state(self) -> None:
        """Check the pallet's invariants over the bound state; raises InvariantBroken. Tests and tools only."""

    @classmethod
    def crate_name(cls) -> str:
        """Return the first segment of the pallet's paths in the metadata."""
        return cls.crate or default_path(cls)[0]

    @classmethod
    def call_specs(cls) -> tuple[CallSpec, ...]:
        """Return the calls in the order of their indices."""
        specs: list[CallSpec] = []
        following = 0
        for name, function in _marked_functions(cls):
            marked: _Marked = vars(function)[CALL_MARK]
            chosen = following if marked.index is None else marked.index
            following = chosen + 1
            specs.append(_call_spec(cls, name, chosen, function, marked))
        specs.sort(key=lambda spec: spec.index)
        if len({spec.index for spec in specs}) != len(specs):
            raise TypeError(f"{cls.name}: two calls have the same index")
        return tuple(specs)

    def constants(self) -> tuple[ConstantSpec, ...]:
        """Return the constants of the metadata: the fields of the Config."""
        if self.Config is None:
            return ()
        hints = typing.get_type_hints(self.Config, include_extras=True)
        return tuple(
            ConstantSpec(
                field.metadata.get("name") or camel_case(field.name),
                hints[field.name],
                getattr(self.config, field.name),
                tuple(str(field.metadata.get("docs", "")).splitlines()),
            )
            for field in dataclasses.fields(self.Config)
        )

    @classmethod
    def storage(cls) -> dict[str, StorageItem]:
        """Return the declared storage items by attribute."""
        return storage_items(cls)


def _marked_functions(cls: type) -> list[tuple[str, Callable[..., Any]]]:
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        for name, function in vars(base).items():
            if inspect.isfunction(function) and CALL_MARK in vars(function):
                found[name] = function
    return list(found.items())


def _call_spec(cls: type[Pallet], name: str, index: int, function: Callable[..., Any], marked: _Marked) -> CallSpec:
    parameters = list(inspect.signature(function).parameters)
    if parameters[:2] != ["self", "origin"]:
        raise TypeError(f"{cls.name}.{name}: a call begins with (self, origin)")
    hints = typing.get_type_hints(function, include_extras=True)
    return CallSpec(
        name=name,
        index=index,
        function=function,
        arguments=tuple((parameter, hints[parameter]) for parameter in parameters[2:]),
        weight=marked.weight,
        dispatch_class=marked.dispatch_class,
        pays_fee=marked.pays_fee,
        inherent=marked.inherent,
        docs=docs_of(function),
    )
