"""Calls inside calls: what they weigh, which class they are of, and how events report their outcome."""

from __future__ import annotations

from runtime.call import DispatchResult, RuntimeCall
from runtime.construct import Runtime
from runtime.errors import DispatchErrorValue
from runtime.types import Err, Ok, Result
from runtime.weights import NORMAL, OPERATIONAL, DispatchClass, Weight

Outcome = Result[None, DispatchErrorValue]
"""FRAME's DispatchResult: nothing, or the error after whose rollback nothing of the call is left."""


def outcome_of(result: DispatchResult) -> Outcome:
    """Return what an event says about a dispatched call."""
    return Ok(None) if result.error is None else Err(result.error.to_scale())


def weight_of(runtime: Runtime, call: RuntimeCall) -> Weight:
    """Return the declared weight of a call.

    Asking for weight and class apart keeps the work linear in the depth of nested calls: `Runtime.dispatch_info` asks
    for both at every level, which doubles the work with each.
    """
    entry = runtime.calls[call.pallet, call.function]
    weight = entry.spec.weight
    return weight if isinstance(weight, Weight) else weight(entry.pallet, **call.arguments)


def class_of(runtime: Runtime, call: RuntimeCall) -> DispatchClass:
    """Return the dispatch class of a call."""
    entry = runtime.calls[call.pallet, call.function]
    kind = entry.spec.dispatch_class
    return kind if isinstance(kind, DispatchClass) else kind(entry.pallet, **call.arguments)


def class_around(runtime: Runtime, *calls: RuntimeCall) -> DispatchClass:
    """Return the class of a call that dispatches others: operational only when all of them are, never mandatory."""
    return OPERATIONAL if {class_of(runtime, call) for call in calls} == {OPERATIONAL} else NORMAL
