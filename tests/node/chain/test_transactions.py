"""Submitting and watching: validated against the best block, told everything in order, dropped when slow."""

from __future__ import annotations

import pytest
import trio

from node.chain.transactions import WATCH_EVENTS
from node.txpool.errors import AlreadyImported, TemporarilyBanned, TooLowPriority
from node.txpool.events import Broadcast, Finalized, Future, InBlock, Ready, Usurped
from node.txpool.pool import PoolLimits
from runtime.crypto import blake2_256
from runtime.errors import InvalidTransaction, MalformedTransaction
from tests.node.chain.conftest import ALICE, BOB, DAVE, SLOT_MS, ManualClock, Node, NodeMaker


async def test_a_watched_transaction_is_followed_from_future_to_finality(node: Node, clock: ManualClock) -> None:
    watched = node.transactions.watch(node.transfer(ALICE, DAVE, nonce=1))
    node.transactions.submit(node.transfer(ALICE, DAVE, nonce=0))
    hashes = []
    for _ in range(3):
        clock.time_ms += SLOT_MS
        header = await node.author.author_block()
        assert header is not None
        hashes.append(header.hash)
    events = [event async for event in watched]
    assert events == [Future(), Ready(), InBlock(hashes[0], 2), Finalized(hashes[0], 2)]


async def test_a_usurped_transaction_ends_its_watch(node: Node) -> None:
    watched = node.transactions.watch(node.transfer(ALICE, DAVE))
    better = node.transactions.submit(node.transfer(ALICE, DAVE, tip=10**9))
    assert [event async for event in watched] == [Ready(), Usurped(better)]
    assert node.pool._watched == set()


async def test_listeners_hear_of_each_ready_transaction_once(node: Node) -> None:
    heard: list[bytes] = []
    node.transactions.on_ready(lambda transaction: heard.append(transaction.extrinsic))
    second, first = node.transfer(ALICE, DAVE, nonce=1), node.transfer(ALICE, DAVE, nonce=0)
    node.transactions.submit(second)
    assert heard == []
    node.transactions.submit(first)
    assert heard == [first, second]


async def test_a_broadcast_reaches_the_watcher(node: Node) -> None:
    extrinsic = node.transfer(ALICE, DAVE)
    watched = node.transactions.watch(extrinsic)
    node.transactions.broadcast(blake2_256(extrinsic), ["peer"])
    assert [watched.receive_nowait() for _ in range(2)] == [Ready(), Broadcast(("peer",))]


async def test_a_slow_watcher_is_dropped_and_the_transaction_goes_on(node: Node) -> None:
    extrinsic = node.transfer(ALICE, DAVE)
    watched = node.transactions.watch(extrinsic)
    for _ in range(WATCH_EVENTS):
        node.transactions.broadcast(blake2_256(extrinsic), ["peer"])
    assert len([event async for event in watched]) == WATCH_EVENTS
    assert node.transactions._watchers == {}
    assert await node.author.author_block() is not None
    assert len(node.pool) == 0


async def test_a_watcher_that_left_costs_nothing(node: Node) -> None:
    node.transactions.watch(node.transfer(ALICE, DAVE)).close()
    assert await node.author.author_block() is not None
    assert node.transactions._watchers == {}


async def test_a_refused_submission_leaves_no_watcher(node: Node) -> None:
    extrinsic = node.transfer(ALICE, DAVE)
    node.transactions.submit(extrinsic)
    with pytest.raises(AlreadyImported):
        node.transactions.watch(extrinsic)
    with pytest.raises(TooLowPriority):
        node.transactions.watch(node.transfer(ALICE, BOB))
    with pytest.raises(InvalidTransaction):
        node.transactions.watch(b"\x04\x00")
    assert node.transactions._watchers == {}
    assert node.pool._watched == set()


async def test_what_is_on_chain_is_refused(node: Node) -> None:
    extrinsic = node.transfer(ALICE, DAVE)
    node.transactions.submit(extrinsic)
    await node.author.author_block()
    with pytest.raises(TemporarilyBanned):
        node.transactions.submit(extrinsic)
    with pytest.raises(InvalidTransaction, match="outdated"):
        node.transactions.submit(node.transfer(ALICE, BOB, nonce=0))


async def test_damaged_and_foreign_extrinsics_are_refused(make_node: NodeMaker, node: Node) -> None:
    good = node.transfer(ALICE, DAVE)
    for extrinsic in (b"", b"\x00", good[:-1], good + b"\x00", bytes([good[0] ^ 4]) + good[1:]):
        with pytest.raises(InvalidTransaction):
            node.transactions.submit(extrinsic)
    forged = good[:50] + bytes([good[50] ^ 1]) + good[51:]
    with pytest.raises(InvalidTransaction, match="bad signature"):
        node.transactions.submit(forged)
    assert len(node.pool) == 0


async def test_an_import_takes_the_same_transactions_out_of_every_pool(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second = make_node(), make_node()
    shared, conflict = first.transfer(ALICE, DAVE), first.transfer(BOB, DAVE, tip=7)
    waiting = first.transfer(BOB, DAVE, nonce=1)
    for extrinsic in (shared, first.transfer(BOB, DAVE, tip=9)):
        first.transactions.submit(extrinsic)
    for extrinsic in (shared, conflict, waiting):
        second.transactions.submit(extrinsic)
    header = await first.author.author_block()
    assert header is not None
    assert (await second.receive(first.block(header.hash))).is_imported
    assert [one.extrinsic for one in second.pool.ready()] == [waiting]
    assert (await second.author.author_block()) is not None
    assert len(second.pool) == 0


async def test_too_many_watchers_are_refused_without_a_trace(make_node: NodeMaker) -> None:
    node = make_node(limits=PoolLimits(watched_transactions=1))
    node.transactions.watch(node.transfer(ALICE, DAVE))
    with pytest.raises(Exception, match="watched already"):
        node.transactions.watch(node.transfer(BOB, DAVE))
    assert len(node.pool) == 1
    assert len(node.transactions._watchers) == 1


async def test_the_pool_serves_while_blocks_are_imported(make_node: NodeMaker, clock: ManualClock) -> None:
    node = make_node()
    async with trio.open_nursery() as nursery:
        for nonce in range(10):
            node.transactions.submit(node.transfer(ALICE, DAVE, nonce=nonce))
            clock.time_ms += SLOT_MS
            nursery.start_soon(node.author.author_block)
    assert node.nonce(ALICE.account_id) == 10
    assert len(node.pool) == 0


async def test_what_was_invalid_is_banned_and_not_checked_again(node: Node) -> None:
    too_dear = node.transfer(ALICE, DAVE, tip=2**100)
    with pytest.raises(InvalidTransaction, match="fees"):
        node.transactions.submit(too_dear)
    for _ in range(2):
        with pytest.raises(TemporarilyBanned):
            node.transactions.submit(too_dear)
    for _ in range(2):
        with pytest.raises(MalformedTransaction):
            node.transactions.submit(b"no extrinsic")


async def retract(node: Node, other: Node, clock: ManualClock) -> None:
    """Give the node a longer chain than its own."""
    for _ in range(node.best.number + 1):
        clock.time_ms += SLOT_MS
        header = await other.author.author_block()
        assert header is not None
        assert (await node.receive(other.block(header.hash))).is_imported
    assert node.best == other.best


async def test_a_retracted_transaction_that_the_new_chain_made_invalid_ends_its_watch(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second = make_node(), make_node()
    watched = first.transactions.watch(first.transfer(ALICE, DAVE))
    assert await first.author.author_block() is not None
    second.transactions.submit(second.transfer(ALICE, BOB))
    await retract(first, second, clock)
    assert [type(event).__name__ async for event in watched] == ["Ready", "InBlock", "Retracted", "Invalid"]
    assert first.transactions._watchers == {}
    assert first.pool._watched == set()


async def test_what_one_sender_had_in_retracted_blocks_is_ready_again_at_once(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second = make_node(limits=PoolLimits(future_transactions=1)), make_node()
    watched = []
    for nonces in (range(3), range(3, 6)):
        watched += [first.transactions.watch(first.transfer(ALICE, DAVE, nonce=nonce)) for nonce in nonces]
        assert await first.author.author_block() is not None
        clock.time_ms += SLOT_MS
    await retract(first, second, clock)
    assert first.pool.status().ready == 6
    for channel in watched:
        names = [type(channel.receive_nowait()).__name__ for _ in range(channel.statistics().current_buffer_used)]
        assert names == ["Ready", "InBlock", "Retracted", "Ready"]


async def test_a_retracted_transaction_whose_place_is_taken_is_usurped(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second = make_node(), make_node()
    watched = first.transactions.watch(first.transfer(ALICE, DAVE))
    assert await first.author.author_block() is not None
    better = first.transfer(ALICE, BOB, nonce=0, tip=10**9)
    clock.time_ms += SLOT_MS
    header = await second.author.author_block()
    assert header is not None
    await first.receive(second.block(header.hash))
    first.pool.submit(second.transactions.validate(better), better, first.best.number)
    clock.time_ms += SLOT_MS
    header = await second.author.author_block()
    assert header is not None
    await first.receive(second.block(header.hash))
    usurper = blake2_256(better)
    events = [event async for event in watched]
    assert [type(event).__name__ for event in events] == ["Ready", "InBlock", "Retracted", "Usurped"]
    assert events[-1] == Usurped(usurper)


async def test_a_retracted_transaction_that_the_pool_has_no_room_for_is_dropped(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second = make_node(limits=PoolLimits(ready_transactions=1)), make_node()
    watched = first.transactions.watch(first.transfer(ALICE, DAVE))
    assert await first.author.author_block() is not None
    first.transactions.submit(first.transfer(BOB, DAVE, tip=10**9))
    await retract(first, second, clock)
    assert [type(event).__name__ async for event in watched] == ["Ready", "InBlock", "Retracted", "Dropped"]
    assert len(first.pool) == 1
