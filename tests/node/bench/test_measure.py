"""The engine of `datdot bench pallets`: what is counted, how slopes are taken, what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.bench.base import database_ps
from node.bench.ground import ROOT, Ground
from node.bench.measure import BenchmarkFailed, Cost, Sample, Scenario, cost_of, measure, rounded
from node.bench.render import database_module, weight_module
from node.bench.run import NoScenarios, Results, scenarios_at, write_modules
from node.devnet.chain_file import development_spec
from node.keys.derivation import keypair_from_uri
from pallets.chain import runtime_for
from runtime.account import Id
from runtime.state import DictState

ALICE, BOB = keypair_from_uri("//Alice").account_id, keypair_from_uri("//Bob").account_id


@pytest.fixture(scope="module")
def ground() -> Ground:
    spec = development_spec(1, 0, block_time_seconds=1.0, name="Test", chain_type="Development")
    return Ground.of(runtime_for(spec), spec, ALICE, BOB)


def touching(ground: Ground, size: int) -> Sample:
    """Reads and writes so many keys, and one more."""

    def work() -> None:
        overlay = ground.runtime.host.overlay
        for number in range(size + 1):
            overlay.read(bytes([number, 1]), bytes)
            overlay.write(bytes([number, 1]), b"x", bytes)

    return Sample(ground.runtime, DictState(), work)


def test_the_keys_that_a_call_touches_are_counted_without_those_of_every_extrinsic(ground: Ground) -> None:
    transfer = ground.call("Balances", "transfer_keep_alive", {"dest": Id(BOB), "value": 10**9})
    cost = cost_of(transfer)
    assert (cost.reads, cost.writes) == (2, 2)
    assert cost.time_ps > 0


def test_a_component_gives_a_base_and_a_slope(ground: Ground) -> None:
    scenario = Scenario("Test", "TOUCH", lambda size: touching(ground, size), "KEY", (0, 100))
    costs = measure(scenario)
    assert list(costs) == ["TOUCH", "TOUCH_PER_KEY"]
    assert (costs["TOUCH"].reads, costs["TOUCH"].writes) == (1, 1)
    assert (costs["TOUCH_PER_KEY"].reads, costs["TOUCH_PER_KEY"].writes) == (1, 1)
    other = measure(Scenario("Test", "TOUCH", lambda size: touching(ground, size), "KEY", (50, 100)))
    assert (other["TOUCH"].reads, other["TOUCH_PER_KEY"].reads) == (1, 1)


def test_nothing_that_is_measured_changes_the_ground(ground: Ground) -> None:
    before = dict(ground.state.pairs)
    cost_of(ground.call("Balances", "transfer_all", {"dest": Id(BOB), "keep_alive": False}))
    assert ground.state.pairs == before
    copy = ground.copy()
    copy.do("Balances", "transfer_all", {"dest": Id(BOB), "keep_alive": False})
    assert copy.state.pairs != before
    assert ground.state.pairs == before


def test_a_call_that_fails_is_no_measurement(ground: Ground) -> None:
    refused = Scenario("Sudo", "SUDO", lambda _: ground.call("Sudo", "remove_key", {}, ROOT))
    with pytest.raises(BenchmarkFailed, match=r"Sudo\.SUDO.*bad origin"):
        measure(refused)


def test_a_scenario_that_cannot_be_made_is_named(ground: Ground) -> None:
    def make(size: int) -> Sample:
        raise KeyError("nothing")

    with pytest.raises(BenchmarkFailed, match=r"Test\.BROKEN"):
        measure(Scenario("Test", "BROKEN", make))


def test_times_are_rounded_up() -> None:
    assert rounded(Cost(1, 2, 3), 1_000) == Cost(1_000, 2, 3)
    assert rounded(Cost(2_000, 0, 0), 1_000) == Cost(2_000, 0, 0)
    assert rounded(Cost(0, 0, 0), 1_000) == Cost(0, 0, 0)


def test_the_database_is_measured() -> None:
    read_ps, write_ps = database_ps()
    assert write_ps > read_ps > 0


def test_the_same_costs_give_the_same_module() -> None:
    costs = {"B_PER_BYTE": Cost(1_000, 0, 0), "A": Cost(5_000_000, 1, 2)}
    text = weight_module("Test", costs)
    assert text == weight_module("Test", dict(reversed(costs.items())))
    assert text.endswith("\n\nA = measured(5_000_000, reads=1, writes=2)\nB_PER_BYTE = measured(1_000)\n")
    names: dict[str, int] = {}
    exec(compile(database_module(7, 8), "database", "exec"), names)
    assert (names["READ_PS"], names["WRITE_PS"]) == (7, 8)


def test_modules_are_written_into_the_folder_by_pallet(tmp_path: Path) -> None:
    costs = {name: {"A": Cost(1, 0, 0)} for name in ("Block", "System", "DatDot", "Notes")}
    ours = Results(costs, frozenset({"System", "DatDot"}), (), 1, 2)
    assert set(ours.modules()) == {"database.py", "block.py", "system.py", "dat_dot.py"}
    project = Results(costs, frozenset({"Notes"}), (), 1, 2)
    (written,) = write_modules(project, tmp_path)
    assert written.name == "notes.py"


@pytest.mark.parametrize("reference", ["", "nowhere:f", "node.bench.scenarios:nothing", "node.bench.scenarios"])
def test_scenarios_that_are_not_there_are_refused(reference: str) -> None:
    with pytest.raises(NoScenarios):
        scenarios_at(reference)
