"""`datdot bench pallets` as a function: the calls of a runtime, what measures them, the modules that come of it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.bench.base import block_and_extrinsic, database_ps
from node.bench.ground import Ground
from node.bench.measure import Cost, Scenario, measure
from node.bench.render import database_module, weight_module
from node.bench.scenarios import core_scenarios
from node.devnet.chain_file import development_spec
from node.keys.derivation import keypair_from_uri
from node.runtime_source import OURS, look_here_too, node_runtime
from runtime.construct import Runtime
from runtime.genesis import ChainSpec

BLOCK: Final = "Block"
"""Stands for a pallet among the costs: what every block and extrinsic takes, whatever it does."""

Scenarios = Callable[[Ground], Iterable[Scenario]]


class NoScenarios(Exception):
    """A module with scenarios cannot be used: one sentence."""


@dataclass(frozen=True)
class Results:
    """Costs by pallet and constant, and what a storage key costs.

    `own` are the pallets of the package that the runtime is composed in: the others bring their weights along.
    `unmeasured` are the calls of those that no scenario measures.
    """

    costs: dict[str, dict[str, Cost]]
    own: frozenset[str]
    unmeasured: tuple[str, ...]
    read_ps: int
    write_ps: int

    def modules(self) -> dict[str, str]:
        """Sources by file name, of the own pallets; the floor under all weights is written with this package's."""
        wanted = self.own | ({BLOCK} if "System" in self.own else frozenset())
        chosen = {pallet: costs for pallet, costs in self.costs.items() if pallet in wanted}
        files = {f"{module_of(pallet)}.py": weight_module(pallet, costs) for pallet, costs in chosen.items()}
        return {"database.py": database_module(self.read_ps, self.write_ps), **files} if BLOCK in wanted else files


def scenarios_at(reference: str) -> Scenarios:
    """The function that `module:function` names. Raises NoScenarios."""
    module, _, function = reference.partition(":")
    try:
        look_here_too(module)
        found: Scenarios = getattr(importlib.import_module(module), function)
    except (ImportError, ValueError, AttributeError) as error:
        raise NoScenarios(f"--scenarios {reference}: {error}") from None
    return found


def bench_pallets(spec: ChainSpec | None, more: Iterable[Scenarios], tell: Callable[[str], None]) -> Results:
    """Measure every call of a chain's runtime, by default DatDot's. Raises BenchmarkFailed and what the runtime does.

    `tell` hears the name of each constant before it is measured.
    """
    if spec is None:
        spec = development_spec(1, 0, block_time_seconds=1.0, name="Benchmark", chain_type="Development")
    alice, bob = keypair_from_uri("//Alice"), keypair_from_uri("//Bob")
    runtime = node_runtime(spec)
    tell("the database")
    read_ps, write_ps = database_ps()
    tell("blocks and extrinsics")
    costs: dict[str, dict[str, Cost]] = {BLOCK: block_and_extrinsic(runtime, spec, alice)}
    ground = Ground.of(runtime, spec, alice.account_id, bob.account_id)
    for scenario in (*core_scenarios(ground), *(one for scenarios in more for one in scenarios(ground))):
        tell(f"{scenario.pallet}.{scenario.name}")
        costs.setdefault(scenario.pallet, {}).update(measure(scenario))
    missing = (name for name in calls_of(runtime) if constant_of(name) not in costs.get(name.split(".")[0], {}))
    package = (spec.runtime or OURS).partition(".")[0]
    own = frozenset(pallet.name for pallet in runtime.pallets if type(pallet).__module__.partition(".")[0] == package)
    unmeasured = tuple(name for name in missing if name.partition(".")[0] in own)
    return Results(costs, own, unmeasured, read_ps, write_ps)


def calls_of(runtime: Runtime) -> Iterator[str]:
    """The names of all calls, as in "Balances.transfer_all"."""
    for pallet, function in runtime.calls:
        yield f"{pallet}.{function}"


def constant_of(call: str) -> str:
    """The name of a call's constant in its pallet's weight module."""
    return call.partition(".")[2].upper()


def module_of(pallet: str) -> str:
    """The name of a pallet's weight module: `transaction_payment` for "TransactionPayment"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", pallet).lower()


def write_modules(results: Results, folder: Path) -> list[Path]:
    """Write the modules into a folder and return their paths. Raises OSError."""
    written = []
    for name, text in results.modules().items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written
