"""Authoring: whose turn it is, what enters a block, and when blocks are made."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
import trio.testing

from node.chain.author import TRANSACTIONS_AT_A_STRETCH, Author, AuthoringMode, WrongAuthorKey
from node.chain.clock import TrioClock
from node.chain.events import BlockImported, ImportStatus
from node.consensus import aura
from node.keys.derivation import keypair_from_uri
from node.store.chain_store import ChainStore
from pallets.timestamp import Timestamp
from runtime.errors import InvalidTransaction, Validity
from runtime.header import Header
from runtime.state import StateView
from tests.node.chain.conftest import (
    ALICE,
    AUTHORITIES,
    BOB,
    CHARLIE,
    DAVE,
    SLOT_MS,
    START_MS,
    ManualClock,
    Node,
    NodeMaker,
)


def time_of(node: Node, header: Header) -> int:
    timestamp = node.runtime.pallet(Timestamp.name)
    assert isinstance(timestamp, Timestamp)
    with node.runtime.at(node.store.state(header.hash)):
        return timestamp.now_ms()


def body(node: Node, header: Header | None) -> tuple[bytes, ...]:
    assert header is not None
    return node.block(header.hash).extrinsics


async def test_an_empty_block_holds_only_the_time(node: Node) -> None:
    header = await node.author.author_block()
    assert len(body(node, header)) == 1
    assert node.best == header
    assert node.chain.author_of(node.best) == AUTHORITIES[aura.slot_of(node.best) % 3].account_id


async def test_transactions_enter_in_the_order_of_the_pool(node: Node) -> None:
    cheap, rich = node.transfer(ALICE, DAVE), node.transfer(BOB, DAVE, tip=1_000_000)
    second = node.transfer(ALICE, DAVE, nonce=1, tip=5_000_000)
    for extrinsic in (cheap, second, rich):
        node.transactions.submit(extrinsic)
    assert body(node, await node.author.author_block())[1:] == (rich, cheap, second)
    assert len(node.pool) == 0


async def test_a_transaction_that_became_invalid_is_left_out_with_its_dependents_and_banned(node: Node) -> None:
    everything = 10**18
    first = node.transfer(DAVE, ALICE, value=everything - 10**12, tip=100)
    node.transactions.submit(first)
    broke = node.transfer(DAVE, ALICE, nonce=1, tip=10**13)
    after = node.transfer(DAVE, ALICE, nonce=2)
    node.transactions.submit(broke)
    node.transactions.submit(after)
    other = node.transfer(BOB, ALICE)
    node.transactions.submit(other)
    watched = node.transactions._watchers
    assert watched == {}
    extrinsics = body(node, await node.author.author_block())
    assert set(extrinsics[1:]) == {first, other}
    assert len(node.pool) == 0


async def test_building_stops_at_two_thirds_of_the_slot(make_node: NodeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowClock(ManualClock):
        def now_ms(self) -> int:
            self.time_ms += 50
            return self.time_ms

    node = make_node(clock=SlowClock())
    for nonce in range(40):
        node.transactions.submit(node.transfer(ALICE, DAVE, nonce=nonce))
    extrinsics = body(node, await node.author.author_block())
    assert 1 < len(extrinsics) < 20
    assert len(node.pool) == 41 - len(extrinsics)


async def test_slots_of_others_are_left_to_them(make_node: NodeMaker, clock: ManualClock) -> None:
    node = make_node(keys=(BOB,))
    made = []
    for _ in range(6):
        clock.time_ms += SLOT_MS
        header = await node.author.author_slot(node.chain.current_slot())
        made.append(header is not None)
    assert sum(made) == 2
    assert node.best.number == 2


async def test_a_slot_is_authored_once(node: Node) -> None:
    slot = node.chain.current_slot()
    assert await node.author.author_slot(slot) is not None
    assert await node.author.author_slot(slot) is None
    assert await node.author.author_slot(slot - 1) is None


async def test_without_a_key_nothing_is_authored(make_node: NodeMaker) -> None:
    node = make_node(keys=(DAVE,))
    assert await node.author.author_block() is None


async def test_a_node_that_catches_up_does_not_author(node: Node) -> None:
    syncing = True
    author = Author(node.chain, node.transactions, AUTHORITIES, may_author=lambda: not syncing)
    assert await author.author_block() is None
    syncing = False
    assert await author.author_block() is not None


async def test_a_runtime_that_the_chain_does_not_ask_for_does_not_author(node: Node) -> None:
    node.runtime.source_digest = bytes([7]) * 32
    assert await node.author.author_block() is None
    assert node.best.number == 0


def test_a_key_that_is_not_sr25519_is_refused(node: Node) -> None:
    with pytest.raises(WrongAuthorKey, match="sr25519"):
        Author(node.chain, node.transactions, [keypair_from_uri("//Alice", "ed25519")])


async def test_manual_blocks_run_ahead_of_the_clock_slot_by_slot(node: Node) -> None:
    first, second = await node.author.author_block(), await node.author.author_block()
    assert first is not None
    assert second is not None
    assert aura.slot_of(second) == aura.slot_of(first) + 1
    assert time_of(node, first) == START_MS
    assert time_of(node, second) == START_MS + SLOT_MS


async def test_the_time_of_a_block_lies_in_its_slot_and_after_the_parents(node: Node, clock: ManualClock) -> None:
    times = []
    for offset in (999, 1_001, 2_999, 3_000):
        clock.time_ms = START_MS + offset
        header = await node.author.author_block()
        assert header is not None
        time_ms = time_of(node, header)
        assert time_ms // SLOT_MS == aura.slot_of(header)
        times.append(time_ms)
    assert all(later >= earlier + SLOT_MS // 2 for earlier, later in itertools.pairwise(times))


async def test_interval_authors_every_slot_and_finalizes(
    make_node: NodeMaker, autojump_clock: trio.testing.MockClock
) -> None:
    node = make_node(clock=TrioClock(START_MS + 300), mode=AuthoringMode.INTERVAL)
    with trio.move_on_after(9.5):
        await node.author.run()
    assert node.best.number == 10
    assert node.chain.finalized.number == 8
    slots = [aura.slot_of(node.chain.best)]
    assert slots == [(START_MS + 9_300) // SLOT_MS]


async def test_interval_waits_when_most_of_the_slot_is_over(
    make_node: NodeMaker, autojump_clock: trio.testing.MockClock
) -> None:
    node = make_node(clock=TrioClock(START_MS + 700), mode=AuthoringMode.INTERVAL)
    with trio.move_on_after(0.2):
        await node.author.run()
    assert node.best.number == 0


async def test_instant_makes_a_block_when_a_transaction_is_ready(
    make_node: NodeMaker, autojump_clock: trio.testing.MockClock
) -> None:
    node = make_node(clock=TrioClock(START_MS), mode=AuthoringMode.INSTANT)
    events = node.chain.subscribe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.author.run)
        await trio.testing.wait_all_tasks_blocked()
        assert node.best.number == 0
        for nonce in range(3):
            extrinsic = node.transfer(ALICE, DAVE, nonce=nonce)
            node.transactions.submit(extrinsic)
            imported = await events.receive()
            assert isinstance(imported, BlockImported)
            assert node.block(imported.header.hash).extrinsics[1:] == (extrinsic,)
            await events.receive()
        assert trio.current_time() < 1
        node.transactions.submit(node.transfer(ALICE, DAVE, nonce=5))
        await trio.testing.wait_all_tasks_blocked()
        assert node.best.number == 3
        nursery.cancel_scope.cancel()
    assert time_of(node, node.best) >= START_MS + 2 * SLOT_MS


async def test_instant_stops_when_no_ready_transaction_fits(
    make_node: NodeMaker, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    node = make_node(clock=TrioClock(START_MS), mode=AuthoringMode.INSTANT)
    node.transactions.submit(node.transfer(ALICE, DAVE))
    monkeypatch.setattr("node.chain.author.BlockExecution.apply", refuse_signed(node))
    with trio.move_on_after(5):
        await node.author.run()
    assert node.best.number == 1
    assert len(node.pool) == 1


def refuse_signed(node: Node) -> Callable[..., object]:
    from runtime.transition import BlockExecution

    original = BlockExecution.apply

    def apply(self: BlockExecution, data: bytes) -> object:
        if self.extrinsics:
            raise InvalidTransaction(Validity.EXHAUSTS_RESOURCES)
        return original(self, data)

    return apply


async def test_a_follower_accepts_what_three_authors_make_in_turn(make_node: NodeMaker, clock: ManualClock) -> None:
    nodes = [make_node(keys=(key,)) for key in (ALICE, BOB, CHARLIE)]
    for _ in range(9):
        clock.time_ms += SLOT_MS
        for node in nodes:
            header = await node.author.author_slot(node.chain.current_slot())
            if header is None:
                continue
            for other in nodes:
                if other is not node:
                    result = await other.receive(node.block(header.hash))
                    assert result.status is ImportStatus.IMPORTED, result.reason
    assert {node.best.hash for node in nodes} == {nodes[0].best.hash}
    assert nodes[0].best.number == 9
    assert nodes[0].chain.finalized.number == 7


async def test_a_block_is_made_on_the_best_one_even_if_it_changed_while_waiting(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    maker, node = make_node(), make_node()
    clock.time_ms += SLOT_MS
    header = await maker.author.author_block()
    assert header is not None
    parents: list[Header] = []

    async def build(parent: Header, view: StateView) -> None:
        parents.append(parent)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.receive, maker.block(header.hash))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(node.chain.extend, build)
    assert parents == [header]


async def test_others_get_a_turn_while_a_long_block_is_filled_and_may_change_the_pool(node: Node) -> None:
    first = [node.transfer(ALICE, DAVE, nonce=nonce) for nonce in range(3 * TRANSACTIONS_AT_A_STRETCH)]
    late = node.transfer(ALICE, DAVE, nonce=len(first))
    for extrinsic in first:
        node.transactions.submit(extrinsic)
    best_when_submitted: list[int] = []

    async def submit_late() -> None:
        await trio.lowlevel.checkpoint()
        node.transactions.submit(late)
        best_when_submitted.append(node.best.number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.author.author_block)
        nursery.start_soon(submit_late)
    assert best_when_submitted == [0]
    assert node.block(node.best.hash).extrinsics[1:] == (*first, late)
    assert len(node.pool) == 0


async def test_an_interrupted_write_stops_the_author_and_loses_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*args: object, **options: object) -> None:
        raise OSError("disk")

    before = node.best
    with monkeypatch.context() as patch:
        patch.setattr(ChainStore, "commit", failing)
        with pytest.raises(OSError, match="disk"):
            await node.author.author_block()
    assert node.best == before
    header = await node.author.author_block()
    assert header is not None
    assert replace(header).number == 1
