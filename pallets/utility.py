"""Utility: many calls in one extrinsic."""

from __future__ import annotations

from dataclasses import dataclass

from pallets.nested import Outcome, class_around, outcome_of
from pallets.weights import heaviest
from pallets.weights import utility as weights
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.errors import BadOrigin, DispatchErrorValue, PalletError, ensure
from runtime.events import Event
from runtime.origin import NoneOrigin, Origin, OriginCaller, Signed, SystemOrigin, ensure_root, ensure_signed
from runtime.pallet import Pallet, call, constant
from runtime.types import U16, U32, AccountId, Ok
from runtime.weights import DispatchClass, PostDispatchInfo, Weight

_OVERHEAD = heaviest(
    weights.BATCH,
    weights.BATCH_ALL,
    weights.FORCE_BATCH,
    weights.AS_DERIVATIVE,
    weights.DISPATCH_AS,
    weights.DISPATCH_AS_FALLIBLE,
    weights.IF_ELSE,
)
_ITEM_WEIGHT = heaviest(weights.BATCH_PER_CALL, weights.BATCH_ALL_PER_CALL, weights.FORCE_BATCH_PER_CALL)
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


@dataclass(frozen=True)
class DispatchedAs(UtilityEvent):
    """A call was dispatched."""

    result: Outcome


@dataclass(frozen=True)
class IfElseMainSuccess(UtilityEvent):
    """Main call was dispatched."""


@dataclass(frozen=True)
class IfElseFallbackCalled(UtilityEvent):
    """The fallback call was dispatched."""

    main_error: DispatchErrorValue


class UtilityError(PalletError):
    """Why a call of this pallet failed."""

    TOO_MANY_CALLS = "Too many calls batched."


def _batch_weight(pallet: Utility, calls: Calls) -> Weight:
    return sum((pallet.runtime.weight_of(item) + _ITEM_WEIGHT for item in calls), _OVERHEAD)


def _batch_class(pallet: Utility, calls: Calls) -> DispatchClass:
    return class_around(pallet.runtime, *calls)


def _inner_weight(pallet: Utility, call: RuntimeCall, **_: object) -> Weight:
    return _batch_weight(pallet, (call,))


def _inner_class(pallet: Utility, call: RuntimeCall, **_: object) -> DispatchClass:
    return _batch_class(pallet, (call,))


def _no_batch_all(call: RuntimeCall) -> bool:
    """FRAME's rule that a `batch_all` holds no other."""
    return call.name != "Utility.batch_all"


def derivative_account(who: bytes, index: int) -> bytes:
    """Return the account that `as_derivative` acts as: BLAKE2b-256("modlpy/utilisuba", who, index as u16)."""
    return blake2_256(_DERIVATIVE_DOMAIN + _DERIVATIVE_CODEC.encode((who, index)))


class Utility(Pallet):
    """Batches of calls, and sub-accounts without keys of their own.

    Calls are made from the same origin, whose filters hold for them too.
    """

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

    @call(weight=_inner_weight, dispatch_class=_inner_class)
    def as_derivative(self, origin: Origin, index: U16, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call as one of the sender's 65,536 sub-accounts, within the filters of the sender."""
        who = derivative_account(ensure_signed(origin), index)
        filters = origin.filters if isinstance(origin, Signed) else ()
        return PostDispatchInfo(_OVERHEAD + self._must(call, Signed(who, filters)))

    @call(weight=_batch_weight, dispatch_class=_batch_class)
    def batch_all(self, origin: Origin, calls: Calls) -> PostDispatchInfo:
        """Dispatch all calls, or none: the first error undoes the whole batch. A signed one holds no `batch_all`."""
        self._check(origin, calls)
        if isinstance(origin, Signed):
            origin = Signed(origin.account, (*origin.filters, _no_batch_all))
        used = _OVERHEAD
        for item in calls:
            used = used + self._must(item, origin)
            self.deposit_event(ItemCompleted())
        self.deposit_event(BatchCompleted())
        return PostDispatchInfo(used)

    @call(weight=_inner_weight, dispatch_class=_inner_class)
    def dispatch_as(self, origin: Origin, as_origin: OriginCaller, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call from any origin, as root; the event carries its result."""
        ensure_root(origin)
        result = self.runtime.dispatch(call, _origin_of(as_origin))
        self.deposit_event(DispatchedAs(outcome_of(result)))
        return PostDispatchInfo(_OVERHEAD + _ITEM_WEIGHT + result.actual_weight)

    @call(weight=_batch_weight, dispatch_class=_batch_class)
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

    @call(weight=lambda pallet, call, weight: weight, dispatch_class=_inner_class)
    def with_weight(self, origin: Origin, call: RuntimeCall, weight: Weight) -> None:
        """Dispatch a call as root, with a weight that root states instead of the call's own."""
        ensure_root(origin)
        self._must(call, origin)

    @call(weight=lambda pallet, main, fallback: _batch_weight(pallet, (main, fallback)),
          dispatch_class=lambda pallet, main, fallback: _batch_class(pallet, (main, fallback)))
    def if_else(self, origin: Origin, main: RuntimeCall, fallback: RuntimeCall) -> PostDispatchInfo:
        """Dispatch `main`, and if it fails `fallback` in its place; fails when both do."""
        self._check(origin, (main, fallback))
        result = self.runtime.dispatch(main, origin)
        used = _OVERHEAD + _ITEM_WEIGHT + result.actual_weight
        if result.error is None:
            self.deposit_event(IfElseMainSuccess())
            return PostDispatchInfo(used)
        used = used + self._must(fallback, origin)
        self.deposit_event(IfElseFallbackCalled(result.error.to_scale()))
        return PostDispatchInfo(used)

    @call(weight=_inner_weight, dispatch_class=_inner_class)
    def dispatch_as_fallible(self, origin: Origin, as_origin: OriginCaller, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call from any origin, as root; fails when the call does."""
        ensure_root(origin)
        used = self._must(call, _origin_of(as_origin))
        self.deposit_event(DispatchedAs(Ok(None)))
        return PostDispatchInfo(_OVERHEAD + used)

    def _check(self, origin: Origin, calls: Calls) -> None:
        if isinstance(origin, NoneOrigin):
            raise BadOrigin
        ensure(len(calls) <= self.config.batched_calls_limit, UtilityError.TOO_MANY_CALLS)

    def _must(self, call: RuntimeCall, origin: Origin) -> Weight:
        """Dispatch a call whose failure is ours; return the weight that it used."""
        result = self.runtime.dispatch(call, origin)
        if result.error is not None:
            raise result.error
        return _ITEM_WEIGHT + result.actual_weight


def _origin_of(caller: OriginCaller) -> Origin:
    """Return the origin that an argument names."""
    assert isinstance(caller, SystemOrigin)  # the only kind that the codec reads
    return caller.origin
