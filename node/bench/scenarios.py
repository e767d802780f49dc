"""What is measured of the pallets that every runtime has: each call in its most costly ordinary case, and the hooks.

Weights of calls inside of calls are added by the pallets themselves, so a batch or a sudo is measured around a remark
of no bytes, whose own cost is part of the overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from node.bench.delegation import multisig_scenarios, proxy_scenarios
from node.bench.ground import ROOT, Ground
from node.bench.measure import Sample, Scenario
from pallets.aura import AURA_ENGINE, Aura
from pallets.scheduler import Scheduler
from pallets.system import System
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.header import Digest, PreRuntime
from runtime.origin import NoneOrigin, Signed, SystemOrigin
from runtime.version import runtime_code
from runtime.weights import Weight

MANY = 100
REMARK = RuntimeCall("System", "remark", {"remark": b""})
ROOT_ONLY = RuntimeCall("Sudo", "remove_key", {})
NOTHING = RuntimeCall("System", "set_storage", {"items": ()})
KIBIBYTE = 1_024


def core_scenarios(ground: Ground) -> Iterator[Scenario]:
    """The scenarios of those pallets of `pallets.compose.core_pallets` that the runtime has."""
    for name, scenarios in _OF_PALLET.items():
        if any(pallet.name == name for pallet in ground.runtime.pallets):
            yield from scenarios(ground)


def _system(ground: Ground) -> Iterator[Scenario]:
    def remark(function: str) -> Callable[[int], Sample]:
        return lambda size: ground.call("System", function, {"remark": bytes(size)})

    code = runtime_code(bytes(32), ground.runtime.version.spec_version + 1)
    yield Scenario("System", "REMARK", remark("remark"), "BYTE", (0, 256 * KIBIBYTE))
    yield Scenario("System", "REMARK_WITH_EVENT", remark("remark_with_event"), "BYTE", (0, 256 * KIBIBYTE))
    yield Scenario("System", "SET_CODE", lambda _: ground.call("System", "set_code", {"code": code}, ROOT))
    for function in ("set_storage", "kill_storage", "kill_prefix"):
        yield Scenario("System", function.upper(), _raw_storage(ground, function), "KEY", (0, MANY))


def _raw_storage(ground: Ground, function: str) -> Callable[[int], Sample]:
    """Writes and removals of block hashes, which are plain values under raw keys."""
    system = ground.runtime.pallet("System")
    assert isinstance(system, System)
    keys = tuple(system.block_hashes.key_of(number) for number in range(1_000, 1_000 + MANY))
    stored = ground.copy()
    stored.do("System", "set_storage", {"items": tuple((key, bytes(32)) for key in keys)}, ROOT)

    def make(size: int) -> Sample:
        arguments: dict[str, dict[str, Any]] = {
            "set_storage": {"items": tuple((key, bytes(32)) for key in keys[:size])},
            "kill_storage": {"keys": keys[:size]},
            "kill_prefix": {"prefix": system.block_hashes.prefix, "subkeys": size},
        }
        return stored.call("System", function, arguments[function], ROOT)

    return make


def _timestamp(ground: Ground) -> Iterator[Scenario]:
    yield Scenario("Timestamp", "SET", lambda _: _inherent(ground))


def _inherent(ground: Ground) -> Sample:
    """The inherent of a block in the slot of its time."""
    aura = ground.runtime.pallet("Aura")
    assert isinstance(aura, Aura)
    slot = 1_000_000_000
    timed = ground.copy()
    timed.prepare(lambda: aura.slot.put(slot))
    return timed.call("Timestamp", "set", {"now": slot * aura.config.slot_duration}, NoneOrigin())


def _balances(ground: Ground) -> Iterator[Scenario]:
    """Transfers that open the receiver's account, and close the sender's where they may."""
    new, amount = Id(blake2_256(b"nobody yet")), 10**12
    for function in ("transfer_allow_death", "transfer_keep_alive"):
        yield _fixed(ground, "Balances", function, {"dest": new, "value": amount})
    forced = {"source": Id(ground.alice), "dest": new, "value": amount}
    yield _fixed(ground, "Balances", "force_transfer", forced, as_root=True)
    yield _fixed(ground, "Balances", "transfer_all", {"dest": new, "keep_alive": False})
    yield _fixed(ground, "Balances", "force_set_balance", {"who": new, "new_free": amount}, as_root=True)


def _sudo(ground: Ground) -> Iterator[Scenario]:
    bob = Id(ground.bob)
    yield _fixed(ground, "Sudo", "sudo", {"call": REMARK})
    yield _fixed(ground, "Sudo", "sudo_unchecked_weight", {"call": REMARK, "weight": Weight(1)})
    yield _fixed(ground, "Sudo", "sudo_as", {"who": bob, "call": REMARK})
    yield _fixed(ground, "Sudo", "set_key", {"new": bob})
    yield _fixed(ground, "Sudo", "remove_key", {})


def _utility(ground: Ground) -> Iterator[Scenario]:
    for function in ("batch", "batch_all", "force_batch"):
        yield Scenario("Utility", function.upper(), _batch(ground, function), "CALL", (0, MANY))
    yield _fixed(ground, "Utility", "as_derivative", {"index": 1, "call": REMARK})
    as_bob = {"as_origin": SystemOrigin(Signed(ground.bob)), "call": REMARK}
    yield _fixed(ground, "Utility", "dispatch_as", as_bob, as_root=True)
    yield _fixed(ground, "Utility", "dispatch_as_fallible", as_bob, as_root=True)
    yield _fixed(ground, "Utility", "with_weight", {"call": NOTHING, "weight": Weight(1)}, as_root=True)
    yield _fixed(ground, "Utility", "if_else", {"main": ROOT_ONLY, "fallback": REMARK})


def _batch(ground: Ground, function: str) -> Callable[[int], Sample]:
    return lambda size: ground.call("Utility", function, {"calls": (REMARK,) * size})


def _scheduler(ground: Ground) -> Iterator[Scenario]:
    """An agenda is one stored value, read and written whole: every call costs more the more tasks it holds."""
    name, later = b"n" * 32, 1_000
    plain: dict[str, Any] = {"maybe_periodic": (10, 10), "priority": 0, "call": REMARK}
    retry: dict[str, Any] = {"retries": 3, "period": 10}
    calls: dict[str, dict[str, Any]] = {
        "schedule": {"when": later, **plain},
        "schedule_after": {"after": later - 2, **plain},
        "schedule_named": {"id": name, "when": later, **plain},
        "schedule_named_after": {"id": name, "after": later - 2, **plain},
        "cancel": {"when": later, "index": 0},
        "cancel_named": {"id": name},
        "set_retry": {"task": (later, 0), **retry},
        "set_retry_named": {"id": name, **retry},
        "cancel_retry": {"task": (later, 0)},
        "cancel_retry_named": {"id": name},
    }
    for function, arguments in calls.items():
        yield Scenario("Scheduler", function.upper(), _with_agenda(ground, function, arguments), "TASK", (1, MANY))
    yield Scenario("Scheduler", "ON_INITIALIZE", lambda size: _agenda(ground, size), "TASK", (0, MANY))


def _with_agenda(ground: Ground, function: str, arguments: dict[str, Any]) -> Callable[[int], Sample]:
    def make(size: int) -> Sample:
        full = ground.copy()
        task = {"when": 1_000, "maybe_periodic": None, "priority": 0, "call": REMARK}
        for _ in range(size - 1):
            full.do("Scheduler", "schedule", task, ROOT)
        if function.startswith("schedule"):
            full.do("Scheduler", "schedule", task, ROOT)
        else:
            full.do("Scheduler", "schedule_named", {"id": b"n" * 32, **task}, ROOT)
        if function.startswith("cancel_retry"):
            full.do("Scheduler", "set_retry_named", {"id": b"n" * 32, "retries": 3, "period": 10}, ROOT)
        return full.call("Scheduler", function, arguments, ROOT)

    return make


def _agenda(ground: Ground, size: int) -> Sample:
    due = ground.copy()
    when = 2
    for _ in range(size):
        task = {"when": when, "maybe_periodic": None, "priority": 0, "call": REMARK}
        due.do("Scheduler", "schedule", task, ROOT)
    scheduler = due.runtime.pallet("Scheduler")
    assert isinstance(scheduler, Scheduler)
    return Sample(due.runtime, due.state, lambda: scheduler.on_initialize(when))


def _aura(ground: Ground) -> Iterator[Scenario]:
    yield Scenario("Aura", "ON_INITIALIZE", lambda _: _slot(ground))


def _slot(ground: Ground) -> Sample:
    aura = ground.runtime.pallet("Aura")
    assert isinstance(aura, Aura)
    begun = ground.copy()
    digest = Digest((PreRuntime(AURA_ENGINE, (1_000_000_000).to_bytes(8, "little")),))
    begun.prepare(lambda: begun.runtime.system.initialize(1, bytes(32), digest))
    return Sample(begun.runtime, begun.state, lambda: aura.on_initialize(1))


def _fixed(
    ground: Ground, pallet: str, function: str, arguments: dict[str, Any], *, as_root: bool = False
) -> Scenario:
    origin = ROOT if as_root else None
    return Scenario(pallet, function.upper(), lambda _: ground.call(pallet, function, arguments, origin))


_OF_PALLET: dict[str, Callable[[Ground], Iterator[Scenario]]] = {
    "System": _system,
    "Timestamp": _timestamp,
    "Balances": _balances,
    "Sudo": _sudo,
    "Utility": _utility,
    "Scheduler": _scheduler,
    "Multisig": multisig_scenarios,
    "Proxy": proxy_scenarios,
    "Aura": _aura,
}
