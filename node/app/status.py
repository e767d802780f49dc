"""The small status page of a development market: what it is doing, at one glance."""

import importlib.resources
from collections.abc import Callable
from typing import Any

import orjson

from node.client.chain import FollowedChain
from node.rpc.registry import Registry
from node.rpc.server import Page, RpcServer
from pallets.datdot import items
from pallets.datdot.types import ContractState, Plan
from runtime.crypto import ss58_encode

MAX_PLANS_SHOWN = 50
MAX_CONTRACTS_COUNTED = 1_000
LIVE_STATES = (ContractState.HOSTED, ContractState.DEGRADED)


class StatusPage:
    """Makes the page's data from the chain. `plans` are followed from the events that the caller sees."""

    def __init__(self, chain: FollowedChain, rpc_url: str, providers: tuple[bytes, ...], endowment_planck: int) -> None:
        self._chain = chain
        self._rpc_url = rpc_url
        self._providers = providers
        self._endowment = endowment_planck
        self._plans: list[int] = []
        self._next_item = 1

    def status(self) -> dict[str, Any]:
        """Everything the page shows, as JSON values; planck amounts are text."""
        self._follow_plans()
        plans = [self._plan(plan_id) for plan_id in self._plans[-MAX_PLANS_SHOWN:]]
        return {
            "rpc": self._rpc_url,
            "tiles": [
                ["block", self._chain.best_number],
                ["finalized (shown)", self._chain.finalized_number],
                ["plans", len(self._plans)],
                ["contracts hosted", f"{sum(p['hosted'] for p in plans)} of {sum(p['contracts'] for p in plans)}"],
                ["providers", sum(1 for account in self._providers if self._user_id(account) is not None)],
            ],
            "plans": plans[::-1],
            "providers": [self._provider(account) for account in self._providers],
        }

    def server(self) -> RpcServer:
        """A server of the page and its data."""
        html = importlib.resources.files("node.app").joinpath("status.html").read_bytes()
        pages: dict[str, Callable[[], Page]] = {
            "/": lambda: Page(html, "text/html; charset=utf-8"),
            "/status.json": lambda: Page(orjson.dumps(self.status()), "application/json"),
        }
        return RpcServer(Registry(), pages=pages)

    def _follow_plans(self) -> None:
        """Looks at each new item once; ids only grow."""
        end = self._chain.query("DatDot", "NextItemID")
        while self._next_item < end:
            if isinstance(self._chain.query("DatDot", "GetItemByID", self._next_item), items.Plan):
                self._plans.append(self._next_item)
            self._next_item += 1

    def _plan(self, plan_id: int) -> dict[str, Any]:
        plan: Plan = self._chain.query("DatDot", "GetPlanByID", plan_id)
        funds = self._chain.query("DatDot", "GetPlanFundsByID", plan_id)
        counted = plan.contracts[:MAX_CONTRACTS_COUNTED]
        contracts = [self._chain.query("DatDot", "GetContractByID", one) for one in counted]
        return {
            "id": plan_id,
            "state": plan.state.name.capitalize(),
            "escrow": str(funds.escrow if funds is not None else 0),
            "contracts": len(plan.contracts),
            "hosted": sum(1 for contract in contracts if contract is not None and contract.state in LIVE_STATES),
        }

    def _provider(self, account: bytes) -> dict[str, Any]:
        user_id = self._user_id(account)
        data = self._chain.query("System", "Account", account).data
        hosting = self._chain.query("DatDot", "HostingOf", user_id) if user_id is not None else None
        return {
            "user": user_id,
            "account": ss58_encode(account),
            "lanes": len(hosting.lanes) if hosting is not None else 0,
            "earned": str(data.free + data.reserved - self._endowment),
        }

    def _user_id(self, account: bytes) -> int | None:
        found: int | None = self._chain.query("DatDot", "GetUserIDByAccount", account)
        return found
