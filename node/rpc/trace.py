"""Executes a block again and writes down what its extrinsics do: calls inside calls, storage, where a call failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from types import FrameType
from typing import Any

import trio

from node.rpc.limits import MAX_TRACE_STEPS
from runtime.call import DispatchResult, RuntimeCall
from runtime.construct import Dispatch, Runtime
from runtime.errors import DispatchError
from runtime.events import ApplyExtrinsic, EventRecord
from runtime.header import Header
from runtime.origin import Origin
from runtime.raw_storage import StorageIndex
from runtime.state import Decode, Encode, Overlay, StateView
from runtime.transition import BlockExecution, GetNode

MAX_STACK_FRAMES = 32
ERROR_HELPERS = "runtime.errors"
"""`ensure` and its like only raise for others: the place of interest is where they were called."""


@dataclass(frozen=True)
class Place:
    """A line of source: the file as its module is imported, never where it lies on this machine."""

    file: str
    line: int
    function: str


@dataclass
class CallTrace:
    """One dispatched call; `calls` are those that it dispatched itself."""

    call: RuntimeCall
    origin: Origin
    error: DispatchError | None = None
    calls: list[CallTrace] = field(default_factory=list)


@dataclass(frozen=True)
class StorageStep:
    """One read or write of storage, by the innermost call that was running; `value` is encoded."""

    operation: str
    key: bytes
    value: bytes | None
    by: CallTrace | None


@dataclass
class ExtrinsicTrace:
    """What one extrinsic did. `is_complete` is False when the trace reached its bound."""

    index: int
    calls: list[CallTrace] = field(default_factory=list)
    steps: list[StorageStep] = field(default_factory=list)
    events: tuple[EventRecord, ...] = ()
    error: DispatchError | None = None
    is_complete: bool = True


class _Recorder:
    """Notes calls and storage operations while an extrinsic's trace is set."""

    def __init__(self, storage: StorageIndex) -> None:
        self.trace: ExtrinsicTrace | None = None
        self._storage = storage
        self._running: list[CallTrace] = []
        self._noted = 0

    def around_dispatch(self, dispatch: Dispatch, call: RuntimeCall, origin: Origin) -> DispatchResult:
        if self.trace is None or not self._has_room():
            return dispatch(call, origin)
        entry = CallTrace(call, origin)
        (self._running[-1].calls if self._running else self.trace.calls).append(entry)
        self._running.append(entry)
        try:
            result = dispatch(call, origin)
        finally:
            self._running.pop()
        entry.error = result.error
        return result

    def storage(self, operation: str, key: bytes, value: Any) -> None:
        if self.trace is None or not self._has_room():
            return
        encoded = None
        if value is not None:
            # An appended item stands in the sequence's type as a sequence of one, after its count.
            is_item = operation == "append"
            encoded = self._storage.encode(key, (value,) if is_item else value)[is_item:]
        by = self._running[-1] if self._running else None
        self.trace.steps.append(StorageStep(operation, key, encoded, by))

    def _has_room(self) -> bool:
        assert self.trace is not None
        self._noted += 1
        self.trace.is_complete = self._noted <= MAX_TRACE_STEPS
        return self.trace.is_complete


class _RecordingOverlay(Overlay):
    """An overlay that tells of every operation."""

    def __init__(self, view: StateView, recorder: _Recorder) -> None:
        super().__init__(view)
        self._recorder = recorder

    def read(self, key: bytes, decode: Decode) -> Any:
        value = super().read(key, decode)
        self._recorder.storage("read", key, value)
        return value

    def write(self, key: bytes, value: Any, encode: Encode) -> None:
        super().write(key, value, encode)
        self._recorder.storage("delete" if value is None else "write", key, value)

    def append(self, key: bytes, item: Any, decode: Decode, encode: Encode) -> None:
        super().append(key, item, decode, encode)
        self._recorder.storage("append", key, item)


async def trace_block(
    runtime: Runtime,
    parent: Header,
    view: StateView,
    header: Header,
    body: tuple[bytes, ...],
    get_node: GetNode,
    first: int = 0,
) -> AsyncIterator[ExtrinsicTrace]:
    """The traces of a block's extrinsics in order, from number `first` on; `view` is the parent's state.

    Others get their turn before each. The block was imported, so nothing in it is invalid.
    """
    digest = runtime.authored_items(header.digest)
    execution = BlockExecution(runtime, parent, view, digest, get_node)
    recorder = _Recorder(runtime.storage_index)
    execution.overlay = _RecordingOverlay(view, recorder)
    execution.initialize()
    for index, extrinsic in enumerate(body):
        await trio.lowlevel.checkpoint()
        if index < first:
            execution.apply(extrinsic)
        else:
            yield _apply(execution, recorder, ExtrinsicTrace(index), extrinsic)


def _apply(
    execution: BlockExecution, recorder: _Recorder, trace: ExtrinsicTrace, extrinsic: bytes
) -> ExtrinsicTrace:
    runtime = execution.runtime
    recorder.trace, runtime.around_dispatch = trace, recorder.around_dispatch
    try:
        trace.error = execution.apply(extrinsic).error
    finally:
        recorder.trace, runtime.around_dispatch = None, None
    with runtime.bind(execution.overlay):
        records = runtime.system.event_records()
    trace.events = tuple(one for one in records if one.phase == ApplyExtrinsic(trace.index))
    return trace


def stack_of(error: DispatchError) -> tuple[Place, ...]:
    """Where an error was raised, innermost first: the lines of pallets and of what they call."""
    places: list[Place] = []
    step = error.__traceback__
    while step is not None:
        module = _module_of(step.tb_frame)
        if module and module != ERROR_HELPERS:
            places.append(Place(_file_of(step.tb_frame, module), step.tb_lineno, step.tb_frame.f_code.co_name))
        step = step.tb_next
    return tuple(reversed(places[-MAX_STACK_FRAMES:]))


def undone_calls(trace: ExtrinsicTrace) -> Iterator[CallTrace]:
    """The calls whose writes were rolled back: those that failed, and all inside them."""
    waiting = [(call, False) for call in trace.calls]
    while waiting:
        call, is_inside = waiting.pop()
        failed = is_inside or call.error is not None
        if failed:
            yield call
        waiting.extend((inner, failed) for inner in call.calls)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _file_of(frame: FrameType, module: str) -> str:
    name = PurePath(frame.f_code.co_filename).name
    folders = module.split(".")
    return "/".join([*(folders if name == "__init__.py" else folders[:-1]), name])
