"""The ground on which calls are measured: a chain of one authority in its first block, with funded accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.bench.measure import BenchmarkFailed, Sample
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import twox128
from runtime.genesis import ChainSpec, build_genesis
from runtime.header import Digest
from runtime.origin import Origin, Root, Signed
from runtime.state import DictState, Overlay

ROOT: Final = Root()
EVENTS_KEY: Final = twox128(b"System") + twox128(b"Events")


@dataclass(frozen=True)
class Ground:
    """A runtime, its genesis state with block 1 begun on it, and who is who."""

    runtime: Runtime
    state: DictState
    alice: bytes
    bob: bytes

    @classmethod
    def of(cls, runtime: Runtime, spec: ChainSpec, alice: bytes, bob: bytes) -> Ground:
        """Begin block 1 of a chain."""
        genesis = build_genesis(runtime, spec)
        state = DictState()
        state.apply(genesis.changes)
        ground = cls(runtime, state, alice, bob)
        ground.prepare(lambda: runtime.system.initialize(1, genesis.header.hash, Digest()))
        return ground

    def prepare(self, work: Callable[[], object]) -> None:
        """Change the state for all measurements that follow; events are forgotten, as between two blocks."""
        overlay = Overlay(self.state)
        with self.runtime.bind(overlay):
            work()
        self.state.apply(overlay.changes())
        self.state.pairs.pop(EVENTS_KEY, None)

    def copy(self) -> Ground:
        """The same ground, to be prepared differently."""
        return Ground(self.runtime, DictState(dict(self.state.pairs)), self.alice, self.bob)

    def call(self, pallet: str, function: str, arguments: Mapping[str, Any], origin: Origin | None = None) -> Sample:
        """The work of a call, by //Alice unless another origin is given; its failure fails the benchmark."""
        call = RuntimeCall(pallet, function, arguments)
        who = Signed(self.alice) if origin is None else origin

        def work() -> None:
            result = self.runtime.dispatch(call, who)
            if result.error is not None:
                raise BenchmarkFailed(f"{call.name} failed: {result.error}")

        return Sample(self.runtime, self.state, work)

    def do(self, pallet: str, function: str, arguments: Mapping[str, Any], origin: Origin | None = None) -> None:
        """Run a call and keep what it did."""
        self.prepare(self.call(pallet, function, arguments, origin).work)
