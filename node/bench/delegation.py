"""What is measured of Multisig and Proxy: operations of many signatories, and lists of proxies that are full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from node.bench.ground import Ground
from node.bench.measure import Sample, Scenario
from pallets.multisig import Multisig, Timepoint
from pallets.proxy import Proxy, ProxyType, pure_account
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.origin import Signed
from runtime.weights import PICOSECONDS_PER_SECOND, Weight

REMARK = RuntimeCall("System", "remark", {"remark": b""})
FEW, MANY = 2, 50
ENOUGH = Weight(PICOSECONDS_PER_SECOND, 0)
OPENED = Timepoint(1, 0)


def multisig_scenarios(ground: Ground) -> Iterator[Scenario]:
    """Every call of Multisig, per signatory; `as_multi` is the approval that dispatches the call."""
    config = ground.runtime.pallet(Multisig.name).config
    most = min(MANY, config.max_signatories)
    call_hash = blake2_256(ground.runtime.call_codec.encode(REMARK))
    one = {"call": REMARK}
    first = {"threshold": 2, "maybe_timepoint": None, "call_hash": call_hash, "max_weight": ENOUGH}
    last = {"threshold": 2, "maybe_timepoint": OPENED, "call": REMARK, "max_weight": ENOUGH}
    cancel = {"threshold": 2, "timepoint": OPENED, "call_hash": call_hash}
    poke = {"threshold": 2, "call_hash": call_hash}
    for function, arguments, by_bob in (
        ("as_multi_threshold_1", one, False),
        ("as_multi", last, True),
        ("approve_as_multi", first, False),
        ("cancel_as_multi", cancel, False),
        ("poke_deposit", poke, False),
    ):
        opened = function not in ("as_multi_threshold_1", "approve_as_multi")
        make = _operation(ground, function, arguments, first if opened else None, by_bob=by_bob)
        yield Scenario("Multisig", function.upper(), make, "SIGNATORY", (FEW, most))


def _operation(
    ground: Ground, function: str, arguments: dict[str, Any], opening: dict[str, Any] | None, *, by_bob: bool
) -> Callable[[int], Sample]:
    """A call of //Alice, or //Bob, among so many other signatories; with `opening`, of an operation that is open."""

    def make(others: int) -> Sample:
        strangers = [blake2_256(b"signatory %d" % number) for number in range(others - 1)]
        of_alice = tuple(sorted([ground.bob, *strangers]))
        of_bob = tuple(sorted([ground.alice, *strangers]))
        made = ground.copy()
        if opening is not None:
            made.prepare(made.runtime.system.note_initialized)  # a timepoint names an extrinsic
            made.do("Multisig", "approve_as_multi", {"other_signatories": of_alice, **opening})
        who, signatories = (ground.bob, of_bob) if by_bob else (ground.alice, of_alice)
        return made.call("Multisig", function, {"other_signatories": signatories, **arguments}, Signed(who))

    return make


def proxy_scenarios(ground: Ground) -> Iterator[Scenario]:
    """Every call of Proxy, with the lists of //Alice's proxies and of //Bob's announcements full but for one place."""
    full = ground.copy()
    full.prepare(full.runtime.system.note_initialized)
    config = full.runtime.pallet(Proxy.name).config
    alice, bob = Id(ground.alice), Id(ground.bob)
    anything = {"proxy_type": ProxyType.ANY, "delay": 0}
    full.do("Proxy", "add_proxy", {"delegate": bob, **anything})
    for number in range(config.max_proxies - 2):
        full.do("Proxy", "add_proxy", {"delegate": Id(blake2_256(b"delegate %d" % number)), **anything})
    call_hash = blake2_256(full.runtime.call_codec.encode(REMARK))
    as_bob = Signed(ground.bob)
    for number in range(config.max_pending - 2):
        full.do("Proxy", "announce", {"real": alice, "call_hash": number.to_bytes(32, "big")}, as_bob)
    announced = full.copy()
    announced.do("Proxy", "announce", {"real": alice, "call_hash": call_hash}, as_bob)
    pure = pure_account(ground.alice, 1, 0, ProxyType.ANY, 0)
    created = full.copy()
    created.do("Proxy", "create_pure", {**anything, "index": 0})
    by_proxy = {"real": alice, "force_proxy_type": None, "call": REMARK}
    killed = {"spawner": alice, "proxy_type": ProxyType.ANY, "index": 0, "height": 1, "ext_index": 0}
    calls: tuple[tuple[Ground, str, dict[str, Any], bytes], ...] = (
        (full, "proxy", by_proxy, ground.bob),
        (full, "add_proxy", {"delegate": Id(blake2_256(b"one more")), **anything}, ground.alice),
        (full, "remove_proxy", {"delegate": bob, **anything}, ground.alice),
        (full, "remove_proxies", {}, ground.alice),
        (full, "create_pure", {**anything, "index": 0}, ground.alice),
        (created, "kill_pure", killed, pure),
        (full, "announce", {"real": alice, "call_hash": call_hash}, ground.bob),
        (announced, "remove_announcement", {"real": alice, "call_hash": call_hash}, ground.bob),
        (announced, "reject_announcement", {"delegate": bob, "call_hash": call_hash}, ground.alice),
        (announced, "proxy_announced", {"delegate": bob, **by_proxy}, ground.alice),
        (announced, "poke_deposit", {}, ground.bob),
    )
    for on, function, arguments, who in calls:
        yield Scenario("Proxy", function.upper(), _fixed(on, function, arguments, who))


def _fixed(ground: Ground, function: str, arguments: dict[str, Any], who: bytes) -> Callable[[int], Sample]:
    return lambda _: ground.call("Proxy", function, arguments, Signed(who))
