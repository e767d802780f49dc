"""The power fails in the middle of a market: everything goes on from what is on disk and on the chain."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pallets.datdot.events import HostingStarted, NewFeed, NewPlan, Paid, ProofOfStorageConfirmed
from pallets.datdot.types import Role
from tests.e2e.chain import Chain, check_money
from tests.e2e.processes import STOP_SECONDS, Program, datdot

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

CONTENT = random.Random(6).randbytes(7 * 65_536 + 1)
CHUNKS, COPIES = 8, 3
PORTS = ("--rpc-port", 0, "--app-port", 0, "--json")


def chain_of(program: Program, directory: Path) -> Chain:
    return Chain.of_directory(program.event("ready")["rpc"], directory)


def check_payments(chain: Chain) -> None:
    """Each lane's encoder and hoster were paid at most once for the same work, out of the escrow and nothing else."""
    height = chain.height()
    (plan_id,) = {event.plan for event in chain.events_between(1, height, NewPlan)}
    payments: defaultdict[Role, list[int]] = defaultdict(list)
    for event in chain.events_between(1, height, Paid):
        payments[event.role].append(event.amount)
    with chain.market(height) as market:
        plan = market.plan(plan_id)
        lanes = CHUNKS * COPIES
        assert sum(payments[Role.ENCODER]) <= lanes * plan.prices.encoding
        hosting = sum(payments[Role.HOSTER])
        assert hosting <= lanes * plan.prices.hosting * (height - plan.from_)
        fee = hosting * market.config.protocol_fee // (1_000_000 - market.config.protocol_fee)
        escrow = market.funds_of(plan_id).escrow
    deposit = escrow_at_first(chain, plan_id)
    spent = sum(sum(amounts) for amounts in payments.values())
    assert deposit - escrow == pytest.approx(spent + fee, abs=len(payments[Role.HOSTER]))


def escrow_at_first(chain: Chain, plan_id: int) -> int:
    """The escrow of a plan after the block in which it was published."""
    for number in range(1, chain.height() + 1):
        if chain.events_between(number, number, NewPlan):
            with chain.market(number) as market:
                return market.funds_of(plan_id).escrow
    raise AssertionError(f"plan {plan_id} was never published")


def test_a_market_that_is_killed_twice_hosts_proves_and_pays_as_if_it_had_not_been(tmp_path: Path) -> None:
    directory, file = tmp_path / "data", tmp_path / "file"
    file.write_bytes(CONTENT)
    share = ("dev", "--share", file, "--data", directory, *PORTS)

    with datdot(*share, "--block-time", 0.5) as first:
        first.event("sealing")  # lanes are half sealed and half sent
        workers = psutil.Process(first.pid).children(recursive=True)
        assert workers
        first.kill()
    _, alive = psutil.wait_procs(workers, timeout=STOP_SECONDS)
    assert not alive, "sealing processes outlive their node"

    with datdot(*share) as second:
        chain = chain_of(second, directory)
        available = second.event("available", 120)
        assert available["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        assert available["key"] == first.event("feed_published")["key"]
        assert second.event("plan_published")["plan"] == first.event("plan_published")["plan"]
        check_money(chain)
        check_payments(chain)
        killed_at = chain.height()
        second.kill()

    with datdot("dev", "--data", directory, *PORTS) as third:
        chain = chain_of(third, directory)
        assert chain.height() >= killed_at - 1, "blocks that were on disk are gone"
        lanes = chain.events_between(1, killed_at, HostingStarted)
        waiting = {lane.hoster for lane in lanes}
        with closing(chain.blocks(killed_at + 1, 60)) as numbers:
            while waiting:
                for event in chain.events(next(numbers)):
                    if isinstance(event, ProofOfStorageConfirmed):
                        waiting.discard(event.hoster)
        assert len(chain.events_between(1, chain.height(), NewFeed)) == 1
        assert len(chain.events_between(1, chain.height(), HostingStarted)) == COPIES, "a lane was set up twice"
        check_money(chain)
        check_payments(chain)
        with chain.market() as market:
            positions = market.contract(lanes[0].contract).positions
        hosters = {position.hoster for position in positions if position is not None}
        assert hosters == {lane.hoster for lane in lanes}
        assert third.stop() == 0
        assert not [line for line in third.log if "Traceback" in line]


def test_a_share_that_was_killed_before_it_was_proven_ends_well_when_asked_for_again(tmp_path: Path) -> None:
    directory, file = tmp_path / "data", tmp_path / "file"
    file.write_bytes(CONTENT)
    share = ("dev", "--share", file, "--data", directory, "--timeout", 120, *PORTS)
    with datdot(*share, "--block-time", 0.5) as first:
        first.event("hosting_started")
        first.kill()
    with datdot(*share) as second:
        assert second.exit_status(130) == 0, second.tail()
        available = second.event("available")
    assert (available["length"], available["sha256"]) == (CHUNKS, hashlib.sha256(CONTENT).hexdigest())
    with datdot("dev", "--data", directory, *PORTS) as third:
        third.event("ready")
        check_payments(chain_of(third, directory))
        assert third.stop() == 0
