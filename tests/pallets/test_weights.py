"""Generated weights: every call has one, declarations are no less than it, and what a block must hold fits into it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pallets.weights
from node.bench.run import calls_of, constant_of, module_of
from pallets.chain import build_runtime
from pallets.datdot.config import DatDotConfig
from pallets.datdot.pallet import EVIDENCE_BOUND, LANE_WEIGHT
from pallets.scheduler.types import PLACES_PER_BLOCK
from pallets.weights import DATABASE, block, dat_dot, measured, scheduler
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.weights import MANDATORY, OPERATIONAL, Weight

RUNTIME = build_runtime()
FOLDER = Path(pallets.weights.__file__).parent
MODULES = sorted(found.name for found in pkgutil.iter_modules([str(FOLDER)]) if found.name != "database")
LINE = re.compile(r"[A-Z][A-Z0-9_]* = measured\([\d_]+(, reads=\d+)?(, writes=\d+)?\)")
WHO, REMARK = Id(bytes(32)), RuntimeCall("System", "remark", {"remark": b""})
SAMPLES = {
    "System.remark": {"remark": bytes(9)},
    "System.remark_with_event": {"remark": bytes(9)},
    "System.set_code": {"code": bytes(36)},
    "Timestamp.set": {"now": 1},
    "Balances.transfer_keep_alive": {"dest": WHO, "value": 1},
    "Balances.transfer_all": {"dest": WHO, "keep_alive": False},
    "Sudo.sudo": {"call": REMARK},
    "Sudo.set_key": {"new": WHO},
    "Utility.batch": {"calls": (REMARK,) * 3},
    "Utility.batch_all": {"calls": ()},
    "Utility.force_batch": {"calls": (REMARK,)},
    "Utility.with_weight": {"call": REMARK, "weight": Weight(10**9)},
    "Utility.if_else": {"main": REMARK, "fallback": REMARK},
    "Multisig.as_multi_threshold_1": {"other_signatories": (bytes(32),), "call": REMARK},
    "Multisig.approve_as_multi": {
        "threshold": 2,
        "other_signatories": (),
        "maybe_timepoint": None,
        "call_hash": bytes(32),
        "max_weight": Weight(),
    },
    "Proxy.proxy": {"real": WHO, "force_proxy_type": None, "call": REMARK},
    "Proxy.remove_proxies": {},
    "Proxy.proxy_announced": {"delegate": WHO, "real": WHO, "force_proxy_type": None, "call": REMARK},
    "Scheduler.cancel_retry": {"task": (1, 0)},
    "Scheduler.set_retry_named": {"id": bytes(32), "retries": 1, "period": 1},
    "System.set_storage": {"items": ((b"key", b""),)},
    "System.kill_storage": {"keys": (b"key",)},
    "System.kill_prefix": {"prefix": b"key", "subkeys": 5},
    "Scheduler.cancel": {"when": 1, "index": 0},
    "Scheduler.cancel_named": {"id": bytes(32)},
    "DatDot.amendment_report": {"amendment": 1, "results": ()},
    "DatDot.submit_storage_challenge": {"challenge": 1, "evidence": ()},
    "DatDot.start_plan": {"plan": 1},
    "DatDot.publish_feed": {"key": bytes(32), "head_proof": bytes(9)},
}


def constant(call: str) -> Weight:
    pallet = call.partition(".")[0]
    found: Weight = getattr(importlib.import_module(f"pallets.weights.{module_of(pallet)}"), constant_of(call))
    return found


@pytest.mark.parametrize("call", sorted(calls_of(RUNTIME)))
def test_every_call_has_a_generated_weight_that_fits_into_a_block(call: str) -> None:
    weight = constant(call)
    normal = RUNTIME.system.config.block_weights.per_class.normal  # type: ignore[attr-defined]
    assert weight.ref_time > 0
    assert normal.max_extrinsic is not None
    assert not (weight * 20).exceeds(normal.max_extrinsic)


@pytest.mark.parametrize("call", sorted(SAMPLES))
def test_a_call_declares_no_less_than_was_measured(call: str) -> None:
    pallet, _, function = call.partition(".")
    declared = RUNTIME.dispatch_info(RuntimeCall(pallet, function, SAMPLES[call])).weight
    assert not constant(call).exceeds(declared)


@pytest.mark.parametrize("function", [spec.name for spec in RUNTIME.pallet("Scheduler").call_specs()])
def test_a_call_of_the_scheduler_declares_its_own_weight_over_a_full_agenda(function: str) -> None:
    each = getattr(scheduler, f"{function.upper()}_PER_TASK")
    declared = RUNTIME.calls["Scheduler", function].spec.weight
    assert declared == constant(f"Scheduler.{function}") + each * PLACES_PER_BLOCK


@pytest.mark.parametrize("module", MODULES)
def test_a_generated_module_is_sorted_and_has_nothing_else(module: str) -> None:
    text = (FOLDER / f"{module}.py").read_text()
    body = [line for line in text.split('"""', 2)[2].splitlines() if line and not line.startswith("from ")]
    assert all(LINE.fullmatch(line) for line in body)
    assert body == sorted(body)
    assert "not to be edited by hand" in text
    assert not re.search(r"\d{4}-\d\d-\d\d|20\d\d", text.split('"""')[1])


def test_a_weight_is_time_and_storage_at_the_measured_cost_of_a_key() -> None:
    assert measured(5) == Weight(5)
    assert measured(5, reads=2, writes=3) == Weight(5 + 2 * DATABASE.read + 3 * DATABASE.write)
    assert DATABASE.write > DATABASE.read > 0
    assert RUNTIME.system.config.db_weight == DATABASE  # type: ignore[attr-defined]


def test_a_block_and_its_extrinsics_have_the_measured_floor() -> None:
    limits = RUNTIME.system.config.block_weights  # type: ignore[attr-defined]
    assert limits.base_block == block.BASE_BLOCK
    for kind in (limits.per_class.normal, limits.per_class.operational, limits.per_class.mandatory):
        assert kind.base_extrinsic == block.BASE_EXTRINSIC


def test_what_every_block_must_hold_leaves_nearly_all_of_it() -> None:
    limits = RUNTIME.system.config.block_weights  # type: ignore[attr-defined]
    inherent = RUNTIME.dispatch_info(RuntimeCall("Timestamp", "set", {"now": 1}))
    assert inherent.class_ is MANDATORY
    must = limits.base_block + inherent.weight + block.BASE_EXTRINSIC + dat_dot.ON_INITIALIZE
    assert not (must * 100).exceeds(limits.max_block)


def test_the_operational_reserve_holds_a_hosters_largest_answer_and_many_reports() -> None:
    limits = RUNTIME.system.config.block_weights  # type: ignore[attr-defined]
    reserved = limits.per_class.operational.reserved
    evidence = RUNTIME.calls["DatDot", "submit_storage_challenge"].spec
    report = RUNTIME.calls["DatDot", "amendment_report"].spec
    assert (evidence.dispatch_class, report.dispatch_class) == (OPERATIONAL, OPERATIONAL)
    lanes = DatDotConfig().max_hosting_slots
    answer = dat_dot.SUBMIT_STORAGE_CHALLENGE + dat_dot.SUBMIT_STORAGE_CHALLENGE_PER_LEAF * EVIDENCE_BOUND
    largest = answer + LANE_WEIGHT * lanes + block.BASE_EXTRINSIC
    assert not (largest * 4).exceeds(reserved)
    assert not ((dat_dot.AMENDMENT_REPORT + block.BASE_EXTRINSIC) * 100).exceeds(reserved)


@pytest.mark.parametrize(("name", "module"), [("DatDot", "dat_dot"), ("TransactionPayment", "transaction_payment")])
def test_a_weight_module_is_called_like_its_pallet_in_small_letters(name: str, module: str) -> None:
    assert module_of(name) == module
