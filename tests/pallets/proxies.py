"""Calls of the pallet Proxy and what becomes of them, for its tests."""

from __future__ import annotations

from typing import Any

from pallets.proxy import ProxyError, ProxyExecuted, ProxyType, PureCreated
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import DispatchErrorValue, Module, ModuleError, ModuleErrorValue
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain, Outcome, address, transfer

ANY, NON_TRANSFER, MARKET = ProxyType.ANY, ProxyType.NON_TRANSFER, ProxyType.MARKET
PROVIDER, SPONSOR = ProxyType.PROVIDER, ProxyType.SPONSOR
GOOD = transfer(account("Eve"), 1_000)
REMARK = RuntimeCall("System", "remark_with_event", {"remark": b"hello"})
FILTERED = Module(ModuleErrorValue(0, bytes([5, 0, 0, 0])))
BASE, FACTOR = 20_000_000_000, 1_000_000_000


def error(kind: ProxyError) -> DispatchErrorValue:
    return ModuleError(kind).to_scale()


def reserved(chain: Chain, who: bytes) -> int:
    with chain.runtime.at(chain.state):
        return chain.runtime.system.account_data(who).reserved  # type: ignore[attr-defined, no-any-return]


def add(chain: Chain, name: str, delegate: str, kind: ProxyType = ANY, delay: int = 0) -> Outcome:
    return chain.submit(name, "Proxy", "add_proxy", delegate=address(delegate), proxy_type=kind, delay=delay)


def remove(chain: Chain, name: str, delegate: str, kind: ProxyType = ANY, delay: int = 0) -> Outcome:
    return chain.submit(name, "Proxy", "remove_proxy", delegate=address(delegate), proxy_type=kind, delay=delay)


def proxy_call(real: bytes, call: RuntimeCall, kind: ProxyType | None = None) -> RuntimeCall:
    return RuntimeCall("Proxy", "proxy", {"real": Id(real), "force_proxy_type": kind, "call": call})


def act(chain: Chain, delegate: str, real: bytes, call: RuntimeCall, kind: ProxyType | None = None) -> Outcome:
    return chain.block_with(delegate, proxy_call(real, call, kind))


def batch(*calls: RuntimeCall, function: str = "batch") -> RuntimeCall:
    return RuntimeCall("Utility", function, {"calls": calls})


def result_of(outcome: Outcome) -> Any:
    assert outcome.error is None
    last = outcome.events[-1]
    assert isinstance(last, ProxyExecuted)
    return last.result


def proxy_admin(function: str, kind: ProxyType, delegate: str = "Dave") -> RuntimeCall:
    return RuntimeCall("Proxy", function, {"delegate": address(delegate), "proxy_type": kind, "delay": 0})


def create(chain: Chain, name: str, kind: ProxyType = ANY, index: int = 0) -> bytes:
    outcome = chain.submit(name, "Proxy", "create_pure", proxy_type=kind, delay=0, index=index)
    assert outcome.error is None
    created = outcome.events[-1]
    assert isinstance(created, PureCreated)
    assert (created.who, created.proxy_type, created.disambiguation_index) == (account(name), kind, index)
    return created.pure
