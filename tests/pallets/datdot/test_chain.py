"""The market inside of the whole DatDot chain: signed extrinsics, fees, metadata, and a second node that replays."""

from collections.abc import Sequence
from typing import Any

import pytest

from node.keys.keypair import Keypair
from pallets.chain import build_runtime
from pallets.datdot.events import (
    DropHosting,
    HostingStarted,
    NewAmendment,
    NewStorageChallenge,
    Paid,
    Refunded,
)
from pallets.datdot.types import PlanState
from runtime.call import DispatchResult, RuntimeCall
from runtime.construct import Runtime
from runtime.extrinsic import sign_extrinsic
from runtime.header import Block
from runtime.origin import Origin
from runtime.state import DictState
from runtime.transition import BlockExecution, execute_block
from runtime.weights import Weight
from tests.pallets.datdot.people import GENEROUS, Person
from tests.pallets.datdot.world import EPOCH_SLOTS, SLOT_MS, World

CONSTANTS = {"Randomness": {"EpochSlots": EPOCH_SLOTS}}


class SignedWorld(World):
    """A market whose calls are signed extrinsics of the full chain; a second runtime executes every block again."""

    def compose(self) -> Runtime:
        self.replica = build_runtime(slot_duration_ms=SLOT_MS, constants=CONSTANTS)
        self.nonces: dict[Person, int] = {}
        return build_runtime(slot_duration_ms=SLOT_MS, constants=CONSTANTS)

    def block(self, *calls: tuple[Origin | Person, str, dict[str, Any]]) -> list[DispatchResult]:
        parent, view, nodes = self.header, DictState(self.state.pairs), dict(self.nodes)
        self.included: list[bytes] = []
        results = super().block(*calls)
        block = Block(self.header, tuple(self.included))
        replayed = execute_block(self.replica, parent, view, block, nodes.__getitem__)
        assert replayed.header == self.header
        return results

    def execute(
        self, execution: BlockExecution, calls: Sequence[tuple[Origin | Person, str, dict[str, Any]]]
    ) -> list[DispatchResult]:
        codec = self.runtime.extrinsic_codec
        now = {"now": (self.number + 1) * SLOT_MS}
        self._include(execution, codec.encode_bare(RuntimeCall("Timestamp", "set", now)))
        results = []
        for person, function, arguments in calls:
            assert isinstance(person, Person)
            nonce = self.nonces.get(person, 0)
            self.nonces[person] = nonce + 1
            signed = sign_extrinsic(
                codec,
                self.runtime.version,
                RuntimeCall("DatDot", function, arguments),
                Keypair("ed25519", person.account, person.login.seed),
                nonce=nonce,
                genesis_hash=self.genesis_hash,
            )
            results.append(self._include(execution, signed))
        return results

    def _include(self, execution: BlockExecution, extrinsic: bytes) -> DispatchResult:
        self.included.append(extrinsic)
        return DispatchResult(execution.apply(extrinsic).error, Weight())


@pytest.fixture
def chain() -> SignedWorld:
    """The full chain with a sponsor and seven providers."""
    world = SignedWorld()
    world.join(1)
    world.staff(*range(2, 9))
    return world


def test_a_plan_runs_on_the_whole_chain_and_a_second_node_agrees_on_every_block(chain: SignedWorld) -> None:
    plan_id = chain.publish(chain.people[1], [(0, 3), (5, 8), (10, 14)], chain.number + 30)
    chain.work_for(lambda: chain.plan(plan_id).state is PlanState.ENDED, limit=60)
    assert len(chain.seen(HostingStarted)) == len(chain.seen(DropHosting)) == 6
    assert 0 < chain.seen(Refunded)[0].amount < GENEROUS


def test_an_accepted_report_costs_no_fee_and_a_refused_one_does(chain: SignedWorld) -> None:
    chain.publish(chain.people[1], [(0, 9)], chain.number + 200)
    while not chain.seen(NewAmendment):
        chain.block()
    amendment_id = chain.seen(NewAmendment)[0].amendment
    amendment = chain.amendment(amendment_id)
    attestor, encoder = chain.person(amendment.attestors[0] or 0), chain.person(amendment.encoders[0] or 0)
    before = [chain.free(person) for person in (attestor, encoder)]
    report = chain.report(amendment_id)
    refused, accepted = chain.block((encoder, "amendment_report", report), (attestor, "amendment_report", report))
    assert refused.error is not None
    assert accepted.error is None
    assert chain.free(attestor) - before[0] == 3 * 10 * 470_000
    assert chain.free(encoder) - before[1] < 10 * 1_250_000 // 2


def test_accepted_evidence_costs_no_fee(chain: SignedWorld) -> None:
    chain.publish(chain.people[1], [(0, 9)], chain.number + 200)
    chain.work_for(lambda: chain.seen(NewStorageChallenge) != [], limit=30)
    event = chain.seen(NewStorageChallenge)[0]
    hoster = chain.person(event.hoster)
    before = chain.free(hoster)
    paid = len(chain.seen(Paid))
    chain.work()
    assert chain.free(hoster) - before == sum(e.amount for e in chain.seen(Paid)[paid:] if e.user == event.hoster) > 0


def test_metadata_shows_the_market_with_the_seeds_names(chain: SignedWorld) -> None:
    metadata = chain.runtime.metadata_v14
    for name in ("GetUserIDByNoiseKey", "GetPlanByID", "publish_plan", "PerformanceAttestorCount", "HostingStarted"):
        assert name.encode() in metadata
