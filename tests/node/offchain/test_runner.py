"""Off-chain workers run after best blocks, reach the chain through the pool only, and never harm the node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

import pallets.compose
from node.offchain.runner import OffchainRunner
from node.offchain.storage import OffchainStorage
from node.txpool.events import Happening
from pallets.chain import runtime_for
from pallets.system import Remarked
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.errors import InvalidTransaction
from runtime.offchain import OffchainContext, SubmissionRefused
from runtime.transition import BlockExecution
from tests.node.chain.conftest import ALICE, BOB, SLOT_MS, ManualClock, Node, make_spec
from tests.node.offchain.oracle import Oracle, Reported, report

Work = Callable[[Oracle, int, OffchainContext], None]


@pytest.fixture(autouse=True)
def chain_with_an_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pallets.compose, "Runtime", lambda given, version, digest: Runtime((*given, Oracle()), version, digest)
    )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "chain", ManualClock())


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def runner_of(node: Node, tmp_path: Path, worker_seconds: float = 60.0) -> OffchainRunner:
    return OffchainRunner(
        node.chain,
        node.transactions,
        OffchainStorage(tmp_path / "offchain"),
        lambda: runtime_for(make_spec()),
        signers=[BOB],
        worker_seconds=worker_seconds,
    )


def working(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr(Oracle, "work", work, raising=False)


async def author(node: Node) -> tuple[Any, ...]:
    """Make a block; its events."""
    assert isinstance(node.clock, ManualClock)
    node.clock.time_ms += SLOT_MS
    header = await node.author.author_block()
    assert header is not None
    with node.runtime.at(node.store.state(header.hash)):
        return tuple(record.event for record in node.runtime.system.event_records())


async def test_a_worker_sees_the_block_and_reports_without_a_signature(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        latest = oracle.latest.get()
        seen.append((number, latest))
        context.submit_unsigned(report(latest + 1))

    working(monkeypatch, work)
    runner = runner_of(node, tmp_path)
    for number in range(1, 4):
        events = await author(node)
        assert (Reported(number - 1) in events) is (number > 1)
        await runner.serve(node.best)
    assert seen == [(1, 0), (2, 1), (3, 2)]


async def test_a_worker_signs_as_an_account_of_the_node_only(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[str] = []
    remark = RuntimeCall("System", "remark_with_event", {"remark": b"hello"})

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        assert context.accounts == (BOB.account_id,)
        for _ in range(2):
            context.submit_signed(remark, BOB.account_id)
        for call, account in ((remark, ALICE.account_id), (RuntimeCall("No", "such", {}), BOB.account_id)):
            try:
                context.submit_signed(call, account)
            except SubmissionRefused as refused:
                refusals.append(str(refused))

    working(monkeypatch, work)
    await author(node)
    await runner_of(node, tmp_path).serve(node.best)
    assert [event.sender for event in await author(node) if isinstance(event, Remarked)] == [BOB.account_id] * 2
    assert ["no key" in refusals[0], "cannot be encoded" in refusals[1]] == [True, True]


async def test_what_a_worker_writes_to_the_state_is_forgotten_and_what_it_stores_locally_is_kept(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        oracle.latest.put(99)
        context.storage.set(b"runs", (context.storage.get(b"runs") or b"") + bytes([number]))

    working(monkeypatch, work)
    runner = runner_of(node, tmp_path)
    for _ in range(3):
        await author(node)
        await runner.serve(node.best)
    with node.runtime.at(node.store.state(node.best.hash)):
        assert node.runtime.pallet("Oracle").latest.get() == 0  # type: ignore[attr-defined]
    assert runner.storage.get(b"Oracle\0runs") == bytes([1, 2, 3])


class Broken(Exception):
    """What a careless worker raises."""


@pytest.mark.parametrize("error", [Broken("broken"), SystemExit(1), KeyboardInterrupt(), MemoryError()])
async def test_a_worker_that_fails_is_logged_with_pallet_and_block(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any], error: BaseException
) -> None:
    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        raise error

    working(monkeypatch, work)
    await author(node)
    await runner_of(node, tmp_path).serve(node.best)
    (entry,) = [entry for entry in logged if entry["event"] == "off-chain worker failed"]
    assert (entry["pallet"], entry["block"], entry["exc_info"]) == ("Oracle", 1, error)


def loops(oracle: Oracle, number: int, context: OffchainContext) -> None:
    while True:
        pass


def reads_for_ever(oracle: Oracle, number: int, context: OffchainContext) -> None:
    while True:
        with oracle.runtime.at(oracle.runtime.host.overlay.view):
            oracle.latest.get()


@pytest.mark.parametrize("endless", [loops, reads_for_ever])
async def test_a_worker_that_never_ends_is_stopped_and_the_next_one_runs(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any], endless: Work
) -> None:
    stopped: list[str] = []

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        try:
            endless(oracle, number, context)
        finally:
            stopped.append("stopped")

    working(monkeypatch, work)
    runner = runner_of(node, tmp_path, worker_seconds=0.05)
    await author(node)
    await runner.serve(node.best)
    assert [entry["event"] for entry in logged if "off-chain" in entry["event"]] == ["off-chain worker took too long"]
    while not stopped:
        await trio.lowlevel.checkpoint()
    ran: list[int] = []
    working(monkeypatch, lambda oracle, number, context: ran.append(number))
    await author(node)
    patient = runner_of(node, tmp_path)
    await patient.serve(node.best)
    assert ran == [2]


@pytest.mark.parametrize("catches", [True, False], ids=["catches everything", "waits in C"])
async def test_a_worker_that_cannot_be_stopped_keeps_one_thread_and_is_not_run_again_before_it_ended(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any], catches: bool
) -> None:
    ran: list[int] = []
    over = threading.Event()

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        ran.append(number)
        while catches and not over.is_set():
            with suppress(BaseException):
                over.wait(0.001)
        over.wait()

    working(monkeypatch, work)
    runner = runner_of(node, tmp_path, worker_seconds=0.05)
    for _ in range(3):
        await author(node)
        await runner.serve(node.best)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "off-chain worker"]
    assert ran == [1]
    assert [entry["block"] for entry in logged if "does not stop" in entry["event"]] == [2, 3]
    over.set()
    await trio.to_thread.run_sync(thread.join)
    await author(node)
    await runner.serve(node.best)
    assert ran == [1, 4]


async def test_the_end_of_the_node_does_not_wait_for_a_worker(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, over = trio.Event(), threading.Event()

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        trio.from_thread.run_sync(began.set, trio_token=context._node_thread.token)  # type: ignore[attr-defined]
        over.wait()

    working(monkeypatch, work)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner_of(node, tmp_path).run)
        await trio.testing.wait_all_tasks_blocked()
        await author(node)
        await began.wait()
        nursery.cancel_scope.cancel()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "off-chain worker"]
    assert thread.daemon  # neither does the end of the process
    over.set()
    await trio.to_thread.run_sync(thread.join)


async def test_best_blocks_are_served_as_they_come_and_old_ones_are_skipped(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = trio.Event()
    ran: list[int] = []

    def work(oracle: Oracle, number: int, context: OffchainContext) -> None:
        ran.append(number)
        if number == 3:
            trio.from_thread.run_sync(served.set, trio_token=context._node_thread.token)  # type: ignore[attr-defined]

    working(monkeypatch, work)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner_of(node, tmp_path).run)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            await author(node)
        await served.wait()
        nursery.cancel_scope.cancel()
    assert ran[-1] == 3
    assert ran == sorted(set(ran))


# Unsigned calls in the pool and in blocks


async def test_an_unsigned_call_is_checked_by_its_pallet_in_the_pool_and_in_the_block(node: Node) -> None:
    codec = node.runtime.extrinsic_codec
    good, early = codec.encode_bare(report(1)), codec.encode_bare(report(2))
    with pytest.raises(InvalidTransaction, match="outdated"):
        node.transactions.submit(early)
    with pytest.raises(InvalidTransaction, match="must be signed"):
        node.transactions.submit(codec.encode_bare(RuntimeCall("System", "remark", {"remark": b""})))
    with pytest.raises(InvalidTransaction, match="by authors"):
        node.transactions.submit(codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": 1})))
    node.transactions.submit(good)
    assert Reported(1) in await author(node)
    with pytest.raises(InvalidTransaction, match="outdated"):
        node.transactions.validate(good)


async def test_a_block_with_an_unsigned_call_that_is_not_valid_is_refused(node: Node, tmp_path: Path) -> None:
    await author(node)
    body = node.block(node.best.hash)
    bad = node.runtime.extrinsic_codec.encode_bare(report(7))
    parent = node.store.required_header(node.best.parent_hash)
    execution = BlockExecution(
        node.runtime,
        parent,
        node.store.state(parent.hash),
        node.runtime.authored_items(body.header.digest),
        node.store.get_node,
    )
    execution.initialize()
    execution.apply(body.extrinsics[0])
    with pytest.raises(InvalidTransaction):
        execution.apply(bad)
    assert execution.extrinsics == [body.extrinsics[0]]


async def test_an_unsigned_call_ends_with_its_longevity(node: Node) -> None:
    node.transactions.submit(node.runtime.extrinsic_codec.encode_bare(report(1)))
    (waiting,) = node.pool.transactions()
    assert (waiting.validity.sender, waiting.valid_until) == (None, node.best.number + 5)
    happened: list[Happening] = []
    for number in range(1, 6):
        happened += node.pool.on_block(number, bytes([number]) * 32, ())
    assert [type(event).__name__ for _, event in happened] == ["Invalid"]
    assert len(node.pool) == 0
