"""A pallet with an off-chain worker: what it does is chosen by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from runtime.call import RuntimeCall
from runtime.errors import InvalidTransaction, Validity
from runtime.events import Event
from runtime.offchain import OffchainContext
from runtime.origin import Origin, ensure_none
from runtime.pallet import Pallet, UnsignedValidity, call
from runtime.storage import StorageValue
from runtime.types import U32
from runtime.weights import Weight


class OracleEvent(Event):
    """What was reported."""


@dataclass(frozen=True)
class Reported(OracleEvent):
    """A number was reported."""

    number: U32


class Oracle(Pallet):
    """Stores numbers that nodes report without a signature, each once and in order."""

    name = "Oracle"
    index = 30
    crate = "pallet_oracle"
    Event = OracleEvent
    work: ClassVar[Callable[[Oracle, int, OffchainContext], None]]

    latest = StorageValue(U32, default=0, docs="The latest number.")

    @call(weight=Weight(10**6))
    def report(self, origin: Origin, number: U32) -> None:
        """Report the next number."""
        ensure_none(origin)
        self.latest.put(number)
        self.deposit_event(Reported(number))

    def validate_unsigned(self, call: RuntimeCall) -> UnsignedValidity:
        """Only the next number is valid."""
        if call.arguments["number"] != self.latest.get() + 1:
            raise InvalidTransaction(Validity.STALE)
        return UnsignedValidity(provides=(b"oracle" + call.arguments["number"].to_bytes(4, "little"),), longevity=5)

    def offchain_worker(self, number: int, context: OffchainContext) -> None:
        """Do what the test wants."""
        type(self).work(self, number, context)


def report(number: int) -> RuntimeCall:
    """Return the call that reports a number."""
    return RuntimeCall("Oracle", "report", {"number": number})
