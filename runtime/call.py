"""A call as data: which pallet, which function, which arguments; and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from runtime.errors import DispatchError
from runtime.weights import Pays, Weight


class Arguments(dict[str, Any]):
    """The arguments of a call by name: a dictionary that cannot be changed and can be hashed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("the arguments of a call cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


@dataclass(frozen=True)
class RuntimeCall:
    """A call of the runtime, such as `RuntimeCall("Balances", "transfer_keep_alive", {"dest": …, "value": 5})`."""

    __scale_outer__: ClassVar[str] = "RuntimeCall"
    pallet: str
    function: str
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        if type(self.arguments) is not Arguments:
            object.__setattr__(self, "arguments", Arguments(self.arguments))

    @property
    def name(self) -> str:
        """Pallet and function, as in "Balances.transfer_keep_alive"."""
        return f"{self.pallet}.{self.function}"


@dataclass(frozen=True)
class DispatchResult:
    """What became of a dispatched call: no error, or the error after whose rollback nothing of the call is left."""

    error: DispatchError | None
    actual_weight: Weight
    pays_fee: Pays = Pays.YES
