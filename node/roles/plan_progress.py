"""How far plans are, read from the chain: who hosts, who has proven it, how much is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from node.roles.market_view import LaneId, MarketView
from node.roles.sealing_board import SealingBoard
from node.roles.share_events import (
    HostingStarted,
    Paid,
    Sealing,
    ShareEvent,
    StorageProofConfirmed,
    WaitingForProviders,
)
from pallets.datdot import events
from pallets.datdot.types import Contract, ContractState
from runtime.events import Event

OVER = (ContractState.CLOSING, ContractState.ENDED)


class PlanOver(Exception):
    """A plan ended before everything was hosted and proven."""


class PlanProgress:
    """Turns the state of some plans, and the events of blocks, into what a sponsor tells.

    A contract whose hosters have all proven their lanes is not looked at again.
    """

    def __init__(self, market: MarketView, board: SealingBoard, plans: Sequence[int]) -> None:
        self._market = market
        self._board = board
        self._plans = frozenset(plans)
        self._contracts = [contract for plan in plans for contract in _contracts_of(market, plan)]
        self._unproven = list(self._contracts)
        self._proven_chunks = 0
        self._total_chunks = sum(_copies(market.contract(contract)) for contract in self._contracts)
        self._sealed_before = 0
        self._is_waiting = False
        self._seen: set[LaneId] = set()
        self._hosters: set[int] = set()

    @property
    def is_proven(self) -> bool:
        """True when every contract is hosted at every position and each of these lanes was proven once."""
        return not self._unproven

    def hosters(self, plans: Sequence[int]) -> list[int]:
        """The users that host a part of some of the plans now, in the order of the contracts."""
        contracts = [contract for plan in plans for contract in _contracts_of(self._market, plan)]
        return list(dict.fromkeys(user for contract in contracts for user in self._market.hosters_of(contract)))

    def look(self) -> Iterator[ShareEvent]:
        """What the state shows that was not told yet; raises PlanOver."""
        started: list[ShareEvent] = []
        unproven, sealed, queued = [], 0, 0
        for contract_id in self._unproven:
            contract = self._market.contract(contract_id)
            if contract is None or contract.state in OVER:
                raise PlanOver(f"the time of contract {contract_id} ran out before it was hosted and proven")
            queued += contract.state is ContractState.QUEUED
            started += self._newly_hosted(contract_id, contract)
            if all(position is not None and position.proven for position in contract.positions):
                self._proven_chunks += _copies(contract)
            else:
                unproven.append(contract_id)
                sealed += self._sealed_chunks(contract)
        self._unproven = unproven
        if queued and not self._is_waiting:
            yield WaitingForProviders(queued)
        self._is_waiting = queued > 0
        done = self._proven_chunks + sealed
        if done > self._sealed_before:
            self._sealed_before = done
            yield Sealing(done, self._total_chunks)
        yield from started

    def hear(self, happened: Iterable[Event]) -> Iterator[ShareEvent]:
        """What the events of a block tell about these plans."""
        for event in happened:
            match event:
                case events.ProofOfStorageConfirmed(challenge=challenge, hoster=hoster) if hoster in self._hosters:
                    yield StorageProofConfirmed(challenge, hoster)
                case events.Paid(plan=plan, user=user, role=role, amount=amount) if plan in self._plans:
                    yield Paid(user, amount, role.name.lower())

    def _newly_hosted(self, contract_id: int, contract: Contract) -> Iterator[ShareEvent]:
        for number, position in enumerate(contract.positions):
            if position is None:
                continue
            lane = LaneId(contract_id, position.amendment, number)
            if lane not in self._seen:
                self._seen.add(lane)
                self._hosters.add(position.hoster)
                yield HostingStarted(contract_id, position.hoster, position.amendment)

    def _sealed_chunks(self, contract: Contract) -> int:
        """Chunks of lanes in place, and of those that an encoder of this process is at."""
        sealed = 0
        for number, position in enumerate(contract.positions):
            if position is not None:
                sealed += contract.chunks
            elif contract.amendments:
                sealed += self._board.sealed(contract.amendments[-1], number)
        return sealed


def _contracts_of(market: MarketView, plan_id: int) -> tuple[int, ...]:
    plan = market.plan(plan_id)
    return plan.contracts if plan is not None else ()


def _copies(contract: Contract | None) -> int:
    """Chunks of all copies of a contract."""
    return contract.chunks * len(contract.positions) if contract is not None else 0
