"""Utility: many calls in one extrinsic."""

from __future__ import annotations

from dataclasses import dataclass

from pallets.nested import class_of, weight_of
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.errors import BadOrigin, DispatchErrorValue, PalletError, ensure
from runtime.events import Event
from runtime.origin import NoneOrigin, Origin, Signed, ensure_signed
from runtime.pallet import Pallet, call, constant
from runtime.types import U16, U32, AccountId
from runtime.weights import (
    NORMAL,
    OPERATIONAL,
    PICOSECONDS_PER_MICROSECOND,
    DispatchClass,
    PostDispatchInfo,
    Weight,
)

_OVERHEAD = Weight(10 * PICOSECONDS_PER_MICROSECOND)
_ITEM_WEIGHT = Weight(15 * PICOSECONDS_PER_MICROSECOND)
_DERIVATIVE_DOMAIN = b"modlpy/utilisuba"
_DERIVATIVE_CODEC = codec_for(tuple[AccountId, U16])

Calls = tuple[RuntimeCall, ...]


@dataclass(frozen=True)
class UtilityConfig:
    """What a chain builder chooses about batches."""

    batched_calls_limit: U32 = constant(1_000, "The most calls in one batch.", name="batched_calls_limit")


class UtilityEvent(Event):
    """What became of a batch."""


@dataclass(frozen=True)
class BatchInterrupted(UtilityEvent):
    """Batch of dispatches did not complete fully: the call at `index` failed, those before it stay."""

    index: U32
    error: DispatchErrorValue


@dataclass(frozen=True)
class BatchCompleted(UtilityEvent):
    """Batch of dispatches completed fully with no error."""


@dataclass(frozen=True)
class BatchCompletedWithErrors(UtilityEvent):
    """Batch of dispatches completed but has errors."""


@dataclass(frozen=True)
class ItemCompleted(UtilityEvent):
    """A single item within a batch of dispatches has completed with no error."""


@dataclass(frozen=True)
class ItemFailed(UtilityEvent):
    """A single item within a batch of dispatches has completed with error."""

    error: DispatchErrorValue


class UtilityError(PalletError):
    """Why a call of this pallet failed."""

    TOO_MANY_CALLS = "Too many calls batched."


def _batch_weight(pallet: Utility, calls: Calls) -> Weight:
    return sum((weight_of(pallet.runtime, item) + _ITEM_WEIGHT for item in calls), _OVERHEAD)


def _batch_class(pallet: Utility, calls: Calls) -> DispatchClass:
    """A batch is operational when every call in it is."""
    classes = {class_of(pallet.runtime, item) for item in calls}
    return OPERATIONAL if classes == {OPERATIONAL} else NORMAL


def derivative_account(who: bytes, index: int) -> bytes:
    """Return the account that `as_derivative` acts as: BLAKE2b-256("modlpy/utilisuba", who, index as u16)."""
    return blake2_256(_DERIVATIVE_DOMAIN + _DERIVATIVE_CODEC.encode((who, index)))


class Utility(Pallet):
    """Batches of calls, and sub-accounts without keys of their own."""

    name = "Utility"
    index = 8
    Config = UtilityConfig
    Event = UtilityEvent
    Error = UtilityError
    config: UtilityConfig

    @call(weight=_batch_weight, dispatch_class=_batch_class)
    def batch(self, origin: Origin, calls: Calls) -> PostDispatchInfo:
        """Dispatch calls in order until one fails; what was done before it stays done."""
        self._check(origin, calls)
        used = _OVERHEAD
        for index, item in enumerate(calls):
            result = self.runtime.dispatch(item, origin)
            used = used + _ITEM_WEIGHT + result.actual_weight
            if result.error is not None:
                self.deposit_event(BatchInterrupted(index, result.error.to_scale()))
                return PostDispatchInfo(used)
            self.deposit_event(ItemCompleted())
        self.deposit_event(BatchCompleted())
        return PostDispatchInfo(used)

    @call(weight=lambda pallet, index, call: _batch_weight(pallet, (call,)),
          dispatch_class=lambda pallet, index, call: _batch_class(pallet, (call,)))
    def as_derivative(self, origin: Origin, index: U16, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call as one of the sender's 65,536 sub-accounts."""
        result = self.runtime.dispatch(call, Signed(derivative_account(ensure_signed(origin), index)))
        if result.error is not None:
            raise result.error
        return PostDispatchInfo(_OVERHEAD + _ITEM_WEIGHT + result.actual_weight)

    @call(weight=_batch_weight, dispatch_class=_batch_class)
    def batch_all(self, origin: Origin, calls: Calls) -> PostDispatchInfo:
        """Dispatch all calls, or none: the first error undoes the whole batch."""
        self._check(origin, calls)
        used = _OVERHEAD
        for item in calls:
            result = self.runtime.dispatch(item, origin)
            if result.error is not None:
                raise result.error
            used = used + _ITEM_WEIGHT + result.actual_weight
            self.deposit_event(ItemCompleted())
        self.deposit_event(BatchCompleted())
        return PostDispatchInfo(used)

    @call(weight=_batch_weight, dispatch_class=_batch_class, index=4)
    def force_batch(self, origin: Origin, calls: Calls) -> PostDispatchInfo:
        """Dispatch all calls, whichever of them fail."""
        self._check(origin, calls)
        used, failed = _OVERHEAD, False
        for item in calls:
            result = self.runtime.dispatch(item, origin)
            used = used + _ITEM_WEIGHT + result.actual_weight
            if result.error is None:
                self.deposit_event(ItemCompleted())
            else:
                failed = True
                self.deposit_event(ItemFailed(result.error.to_scale()))
        self.deposit_event(BatchCompletedWithErrors() if failed else BatchCompleted())
        return PostDispatchInfo(used)

    def _check(self, origin: Origin, calls: Calls) -> None:
        if isinstance(origin, NoneOrigin):
            raise BadOrigin
        ensure(len(calls) <= self.config.batched_calls_limit, UtilityError.TOO_MANY_CALLS)
