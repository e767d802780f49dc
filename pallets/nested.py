"""Calls inside calls: which class they give the call around them, and how events report their outcome."""

from __future__ import annotations

from runtime.call import DispatchResult, RuntimeCall
from runtime.errors import DispatchErrorValue
from runtime.roles import RuntimeRole
from runtime.types import Err, Ok, Result
from runtime.weights import NORMAL, OPERATIONAL, DispatchClass

Outcome = Result[None, DispatchErrorValue]
"""FRAME's DispatchResult: nothing, or the error after whose rollback nothing of the call is left."""


def outcome_of(result: DispatchResult) -> Outcome:
    """Return what an event says about a dispatched call."""
    return Ok(None) if result.error is None else Err(result.error.to_scale())


def class_around(runtime: RuntimeRole, *calls: RuntimeCall) -> DispatchClass:
    """Return the class of a call that dispatches others: operational only when all of them are, never mandatory."""
    return OPERATIONAL if {runtime.class_of(call) for call in calls} == {OPERATIONAL} else NORMAL
