"""How events report the outcome of a call that was dispatched inside another one."""

from __future__ import annotations

from runtime.call import DispatchResult
from runtime.errors import DispatchErrorValue
from runtime.types import Err, Ok, Result

Outcome = Result[None, DispatchErrorValue]
"""FRAME's DispatchResult: nothing, or the error after whose rollback nothing of the call is left."""


def outcome_of(result: DispatchResult) -> Outcome:
    """Return what an event says about a dispatched call."""
    return Ok(None) if result.error is None else Err(result.error.to_scale())
