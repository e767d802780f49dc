"""Methods declared by their signatures: names, parameter types and documentation are read off the Python functions.

class ChainMethods:
    @method("chain_getBlockHash")
    def get_block_hash(self, number: BlockNumber | None = None) -> Any: ...

    @subscription("chain_subscribeNewHeads", "chain_unsubscribeNewHeads", notifies="chain_newHead")
    async def new_heads(self) -> AsyncIterator[Any]: ...
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, get_args

from node.rpc.errors import invalid_params
from node.rpc.parameters import Converter, Schema, converter_for, schema_for
from node.rpc.session import Session, Subscription

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One parameter: its JSON-RPC name, whether it may be null, whether it may be left out, how a JSON value becomes
    the argument."""

    name: str
    nullable: bool
    optional: bool
    converter: Converter
    schema: Schema

    @property
    def camel_name(self) -> str:
        """The name as the newer methods' specification spells it; both spellings are taken."""
        head, *rest = self.name.split("_")
        return head + "".join(part.capitalize() for part in rest)

    def value_in(self, params: dict[str, Any]) -> Any:
        """The value in parameters given by name, None where it is left out."""
        return params.get(self.name, params.get(self.camel_name))


@dataclass(frozen=True)
class Declaration:
    """What `method` and `subscription` write on a function."""

    name: str
    aliases: tuple[str, ...] = ()
    unsafe: bool = False
    unsubscribe: tuple[str, ...] = ()
    notifies: str | None = None


@dataclass(frozen=True)
class Method:
    """A callable method; `call` takes what `context` says (its Session or Subscription), then the arguments."""

    declaration: Declaration
    call: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    documentation: str
    result: Schema
    context: type | None

    def arguments(self, params: Any) -> list[Any]:
        """The Python arguments of a request's `params` (list, object or absent); raises RpcError INVALID_PARAMS."""
        if params is None:
            params = []
        if isinstance(params, dict):
            unknown = set(params) - {name for one in self.parameters for name in (one.name, one.camel_name)}
            if unknown:
                raise invalid_params(f"unknown parameter {sorted(unknown)[0]!r} of {self.declaration.name}")
            params = [parameter.value_in(params) for parameter in self.parameters]
        if not isinstance(params, list):
            raise invalid_params("params must be a list or an object")
        if len(params) > len(self.parameters):
            # Clients pass a trailing null for an optional block; anything else in excess is a mistake.
            if any(value is not None for value in params[len(self.parameters) :]):
                raise invalid_params(f"{self.declaration.name} takes at most {len(self.parameters)} parameters")
            params = params[: len(self.parameters)]
        values = params + [None] * (len(self.parameters) - len(params))
        return [self._convert(parameter, value) for parameter, value in zip(self.parameters, values, strict=True)]

    def _convert(self, parameter: Parameter, value: Any) -> Any:
        if value is None:
            if not parameter.nullable:
                raise invalid_params(f"{self.declaration.name} needs the parameter {parameter.name!r}")
            return None
        try:
            return parameter.converter(value)
        except (ValueError, TypeError) as error:
            raise invalid_params(f"{parameter.name}: {error}") from None


@dataclass
class Registry:
    """All methods of one port by name."""

    methods: dict[str, Method] = field(default_factory=dict)
    subscriptions: dict[str, Method] = field(default_factory=dict)
    unsubscribes: dict[str, str] = field(default_factory=dict)
    """What ends a subscription, with the name of its notifications."""

    def add(self, group: object) -> None:
        """Adds every declared function of an object."""
        for _, function in inspect.getmembers(group, callable):
            declaration: Declaration | None = getattr(function, "__rpc__", None)
            if declaration is None:
                continue
            declared = _describe(declaration, function)
            target = self.methods if declaration.notifies is None else self.subscriptions
            for name in (declaration.name, *declaration.aliases):
                if name in self.methods or name in self.subscriptions:
                    raise ValueError(f"two methods are called {name}")
                target[name] = declared
            self.unsubscribes.update(dict.fromkeys(declaration.unsubscribe, declaration.notifies or ""))

    def names(self) -> list[str]:
        """Every callable name, sorted, as `rpc_methods` lists them."""
        return sorted({*self.methods, *self.subscriptions, *self.unsubscribes})


def method(name: str, *aliases: str, unsafe: bool = False) -> Callable[[Function], Function]:
    """Declares a function as a JSON-RPC method; an unsafe one needs the token and a loopback client."""
    return _declare(Declaration(name, aliases, unsafe))


def subscription(
    name: str, *unsubscribe: str, notifies: str, aliases: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Declares an async generator as a subscription whose items are sent as `notifies` notifications."""
    return _declare(Declaration(name, aliases, False, unsubscribe, notifies))


def _declare(declaration: Declaration) -> Callable[[Function], Function]:
    def mark(function: Function) -> Function:
        cast(Any, function).__rpc__ = declaration
        return function

    return mark


def _describe(declaration: Declaration, function: Callable[..., Any]) -> Method:
    signature = inspect.signature(function, eval_str=True)
    declared = list(signature.parameters.items())
    context = None
    if declared and declared[0][1].annotation in (Session, Subscription):
        context = declared.pop(0)[1].annotation
    parameters = tuple(
        Parameter(
            name,
            _has_default(one) or type(None) in get_args(one.annotation),
            _has_default(one),
            converter_for(one.annotation),
            schema_for(one.annotation),
        )
        for name, one in declared
    )
    result: Schema = {"type": "string"} if declaration.notifies else schema_for(signature.return_annotation)
    return Method(declaration, function, parameters, inspect.getdoc(function) or "", result, context)


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty
