"""A runtime API as its class declares it: what its functions take and give, for calls and for the metadata."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.types import docs_of


@dataclass(frozen=True)
class ApiMethod:
    """One function: its arguments in order, its result and its documentation."""

    name: str
    inputs: tuple[tuple[str, Any], ...]
    output: Any
    docs: tuple[str, ...]
    function: Callable[..., Any]


@dataclass(frozen=True)
class ApiDeclaration:
    """An API: its name, its functions in the order of their declaration and its documentation."""

    name: str
    methods: tuple[ApiMethod, ...]
    docs: tuple[str, ...]


def method_of(function: Callable[..., Any]) -> ApiMethod:
    """The function with its arguments and result as its annotations tell."""
    hints = typing.get_type_hints(function, include_extras=True)
    output = hints.pop("return")
    return ApiMethod(function.__name__, tuple(hints.items()), output, docs_of(function), function)
