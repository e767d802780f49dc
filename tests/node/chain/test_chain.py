"""Import: what makes a block valid, which chain is followed, what is final, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
from trie import HexaryTrie

from node.chain.chain import SUBSCRIBER_EVENTS
from node.chain.events import BestChanged, BlockImported, Equivocated, Finalized, ImportStatus, Lagged
from node.consensus import aura
from node.keys.keypair import Keypair
from pallets.randomness.types import ONION_ENGINE, onion_item
from runtime.header import Block, Consensus, Header, PreRuntime, Seal
from runtime.transition import extrinsics_root
from tests.node.chain.conftest import (
    ALICE,
    AUTHORITIES,
    BOB,
    CHARLIE,
    DAVE,
    SLOT_MS,
    ManualClock,
    Node,
    NodeMaker,
    resealed,
)


def key_of_slot(slot: int) -> Keypair:
    return AUTHORITIES[slot % len(AUTHORITIES)]


async def author_blocks(node: Node, clock: ManualClock, count: int) -> list[Block]:
    blocks = []
    for _ in range(count):
        clock.time_ms += SLOT_MS
        header = await node.author.author_block()
        assert header is not None
        blocks.append(node.block(header.hash))
    return blocks


async def test_a_second_node_replays_the_chain_to_the_same_state(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    blocks = []
    for value in range(5):
        first.transactions.submit(first.transfer(ALICE, DAVE, value=1_000 + value))
        first.transactions.submit(first.transfer(BOB, DAVE))
        blocks += await author_blocks(first, clock, 1)
    assert all(len(block.extrinsics) == 3 for block in blocks)
    for block in blocks:
        result = await second.receive(block)
        assert result.status is ImportStatus.IMPORTED, result.reason
    assert second.best == first.best
    assert second.pairs(second.best.hash) == first.pairs(first.best.hash)


async def test_the_state_root_of_every_block_is_that_of_the_reference_trie(node: Node, clock: ManualClock) -> None:
    headers = [node.best]
    for _ in range(4):
        node.transactions.submit(node.transfer(ALICE, DAVE))
        headers += [block.header for block in await author_blocks(node, clock, 1)]
    for header in headers:
        trie = HexaryTrie({})
        for key, value in node.pairs(header.hash).items():
            trie.set(key, value)
        assert trie.root_hash == header.state_root


async def test_epochs_pass_with_every_onion_revealed(make_node: NodeMaker, clock: ManualClock) -> None:
    node, follower = make_node(), make_node()
    for block in await author_blocks(node, clock, 45):
        assert (await follower.receive(block)).is_imported


async def test_a_known_block_is_not_imported_again(node: Node, clock: ManualClock) -> None:
    (block,) = await author_blocks(node, clock, 1)
    assert (await node.receive(block)).status is ImportStatus.KNOWN


async def test_a_block_without_its_parent_waits(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    blocks = await author_blocks(first, clock, 2)
    assert (await second.receive(blocks[1])).status is ImportStatus.UNKNOWN_PARENT
    assert (await second.receive(blocks[0])).is_imported
    assert (await second.receive(blocks[1])).is_imported


async def test_a_block_on_a_state_that_is_no_longer_kept_is_too_old(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(window_blocks=2), make_node()
    blocks = await author_blocks(first, clock, 1)
    assert (await second.receive(blocks[0])).is_imported
    (fork,) = await author_blocks(second, clock, 1)
    await author_blocks(first, clock, 4)
    assert (await first.receive(fork)).status is ImportStatus.TOO_OLD


def replaced(**fields: object) -> Callable[[Header], Header]:
    return lambda header: replace(header, **fields)  # type: ignore[arg-type]


def reveal(change: Callable[[bytes], bytes]) -> Callable[[Header], Header]:
    """The header with another payload in its beacon item."""

    def changed(header: Header) -> Header:
        items = [
            onion_item(change(item.data))
            if isinstance(item, Consensus) and item.engine == ONION_ENGINE
            else item
            for item in header.digest
        ]
        return replace(header, digest=tuple(items))

    return changed


def of_slot(offset: int) -> Callable[[Header], Header]:
    def changed(header: Header) -> Header:
        slot = aura.slot_of(header) + offset
        rest = [
            item for item in header.digest if not (isinstance(item, PreRuntime) and item.engine == aura.AURA_ENGINE)
        ]
        return replace(header, digest=(aura.slot_item(slot), *rest))

    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (replaced(state_root=b"\x01" * 32), "state root"),
        (replaced(extrinsics_root=b"\x01" * 32), "extrinsics root"),
        (replaced(number=7), "does not follow"),
        (replaced(digest=()), "0 slots"),
        (reveal(lambda data: data[:1] + bytes([data[1] ^ 1]) + data[2:]), "layer"),
        (reveal(lambda data: b"\x00" + data[33:]), "reveals no layer"),
        (reveal(lambda data: b"\x07"), "beacon"),
        (lambda header: replace(header, digest=header.digest[:1]), "beacon"),
        (lambda header: replace(header, digest=(*header.digest, aura.slot_item(5))), "2 slots"),
        (lambda header: replace(header, digest=(*header.digest, Seal(b"test", bytes(64)))), "exactly one aura seal"),
        (of_slot(-1000), "not after"),
    ],
)
async def test_a_wrong_claim_of_the_header_makes_the_block_invalid(
    make_node: NodeMaker, clock: ManualClock, change: Callable[[Header], Header], reason: str
) -> None:
    first, second = make_node(), make_node()
    before, block = await author_blocks(first, clock, 2)
    await second.receive(before)
    bad = resealed_as_it_claims(block, change)
    result = await second.receive(bad)
    assert result.status is ImportStatus.INVALID
    assert reason in result.reason
    assert second.best == before.header
    assert (await second.receive(block)).is_imported


def resealed_as_it_claims(block: Block, change: Callable[[Header], Header]) -> Block:
    """Sealed again by the author of the slot that the changed header names."""
    changed = change(block.header.without_seal())
    try:
        slot = aura.slot_of(changed)
    except aura.BadDigest:
        slot = 0
    if any(isinstance(item, Seal) for item in changed.digest):
        seal = aura.seal_item(key_of_slot(slot).sign(aura.seal_message(changed)))
        return Block(replace(changed, digest=(*changed.digest, seal)), block.extrinsics)
    return resealed(block, change, key_of_slot(slot))


async def test_a_seal_of_another_authority_is_refused(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    (block,) = await author_blocks(first, clock, 1)
    wrong = key_of_slot(aura.slot_of(block.header) + 1)
    for key in (wrong, DAVE):
        result = await second.receive(resealed(block, lambda header: header, key))
        assert result.status is ImportStatus.INVALID
        assert "not sealed by authority" in result.reason


async def test_a_damaged_seal_is_refused(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    (block,) = await author_blocks(first, clock, 1)
    seal = block.header.digest[-1]
    assert isinstance(seal, Seal)
    for data in (bytes(64), seal.data[:-1], seal.data + b"\x00", bytes([seal.data[0] ^ 1]) + seal.data[1:]):
        header = replace(block.header, digest=(*block.header.digest[:-1], Seal(aura.AURA_ENGINE, data)))
        assert (await second.receive(Block(header, block.extrinsics))).status is ImportStatus.INVALID


async def test_a_block_of_a_future_slot_is_early_and_accepted_later(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    (block,) = await author_blocks(first, clock, 1)
    clock.time_ms -= 3 * SLOT_MS
    assert (await second.receive(block)).status is ImportStatus.TOO_EARLY
    clock.time_ms += 2 * SLOT_MS
    assert (await second.receive(block)).is_imported


Body = tuple[bytes, ...]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: (), "inherent Timestamp.set is missing"),
        (lambda body: body[1:], "must be the inherent"),
        (lambda body: (*body, body[0]), "extrinsic 2"),
        (lambda body: (*body, body[1]), "outdated"),
        (lambda body: (body[0], b"\x04\x05"), "extrinsic 1"),
        (lambda body: body[:1], "state root"),
    ],
)
async def test_a_block_with_a_wrong_body_is_invalid_whatever_its_root(
    make_node: NodeMaker, clock: ManualClock, change: Callable[[Body], Body], reason: str
) -> None:
    first, second = make_node(), make_node()
    first.transactions.submit(first.transfer(ALICE, DAVE))
    (block,) = await author_blocks(first, clock, 1)
    body = change(block.extrinsics)
    result = await second.receive(Block(block.header, body))
    assert result.status is ImportStatus.INVALID
    assert "extrinsics root" in result.reason
    root = extrinsics_root(body)
    key = key_of_slot(aura.slot_of(block.header))
    result = await second.receive(resealed(Block(block.header, body), replaced(extrinsics_root=root), key))
    assert result.status is ImportStatus.INVALID
    assert reason in result.reason


async def test_a_longer_fork_takes_over_and_its_events_name_the_route(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    (shared,) = await author_blocks(first, clock, 1)
    await second.receive(shared)
    (short,) = await author_blocks(first, clock, 1)
    long = await author_blocks(second, clock, 2)
    events = first.chain.subscribe()
    assert (await first.receive(long[0])).is_best is False
    assert first.best == short.header
    assert (await first.receive(long[1])).is_best is True
    assert first.best == long[1].header
    seen = [events.receive_nowait() for _ in range(3)]
    assert [type(event) for event in seen] == [BlockImported, BlockImported, BestChanged]
    assert seen[2] == BestChanged(long[1].header, (short.header.hash,), (long[0].header.hash, long[1].header.hash))
    assert first.store.hash_at(2) == long[0].header.hash


async def test_transactions_of_a_retracted_block_wait_again(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    kept, shared_tx = first.transfer(ALICE, DAVE), first.transfer(BOB, DAVE)
    watched = first.transactions.watch(kept)
    first.transactions.submit(shared_tx)
    await author_blocks(first, clock, 1)
    assert len(first.pool) == 0
    second.transactions.submit(shared_tx)
    for block in await author_blocks(second, clock, 2):
        assert (await first.receive(block)).is_imported
    assert [one.extrinsic for one in first.pool.ready()] == [kept]
    await author_blocks(first, clock, 1)
    names = [type(watched.receive_nowait()).__name__ for _ in range(5)]
    assert names == ["Ready", "InBlock", "Retracted", "Ready", "InBlock"]


async def test_final_is_what_two_thirds_have_built_on(make_node: NodeMaker, clock: ManualClock) -> None:
    node = make_node()
    events = node.chain.subscribe()
    blocks = await author_blocks(node, clock, 5)
    assert node.chain.finalized == blocks[2].header
    finals = []
    while events.statistics().current_buffer_used:
        event = events.receive_nowait()
        if isinstance(event, Finalized):
            finals.append(event.header)
    assert finals == [block.header for block in blocks[:3]]


async def test_two_of_three_authorities_finalize_nothing(make_node: NodeMaker, clock: ManualClock) -> None:
    node = make_node(keys=(ALICE, BOB))
    for _ in range(12):
        clock.time_ms += SLOT_MS
        await node.author.author_slot(node.chain.current_slot())
    assert node.best.number == 8
    assert node.chain.finalized.number == 0


async def test_the_best_chain_does_not_leave_a_finalized_block(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    await author_blocks(first, clock, 4)
    final = first.chain.finalized
    for block in await author_blocks(second, clock, 6):
        assert (await first.receive(block)).is_best is False
    assert first.best.number == 4
    assert first.store.hash_at(final.number) == final.hash


async def test_an_author_with_two_blocks_in_a_slot_is_recorded_with_proof(
    make_node: NodeMaker, clock: ManualClock
) -> None:
    first, second, judge = make_node(), make_node(), make_node()
    clock.time_ms += SLOT_MS
    second.transactions.submit(second.transfer(ALICE, DAVE))
    headers = [await first.author.author_block(), await second.author.author_block()]
    events = judge.chain.subscribe()
    for node, header in zip((first, second), headers, strict=True):
        assert header is not None
        assert (await judge.receive(node.block(header.hash))).is_imported
    (proof,) = judge.chain.equivocations
    assert (proof.first, proof.second) == (headers[0], headers[1])
    assert proof.author == key_of_slot(proof.slot).account_id
    assert any(isinstance(events.receive_nowait(), Equivocated) for _ in range(3))


async def test_a_slow_subscriber_is_dropped_with_an_event_and_others_go_on(node: Node, clock: ManualClock) -> None:
    slow = node.chain.subscribe()
    blocks = SUBSCRIBER_EVENTS // 2 + 2
    live = node.chain.subscribe()
    seen = 0
    for _ in range(blocks):
        await author_blocks(node, clock, 1)
        while live.statistics().current_buffer_used:
            seen += isinstance(live.receive_nowait(), BlockImported)
    events = [event async for event in slow]
    assert isinstance(events[-1], Lagged)
    assert len(events) == SUBSCRIBER_EVENTS + 1
    assert seen == blocks


async def test_a_subscriber_that_left_is_forgotten(node: Node, clock: ManualClock) -> None:
    node.chain.subscribe().close()
    await author_blocks(node, clock, 1)
    assert node.chain._subscribers == []


async def test_forks_in_memory_are_bounded_but_the_longest_chain_goes_on(
    make_node: NodeMaker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_node(), make_node()
    own = await author_blocks(first, clock, 2)
    forks = await author_blocks(second, clock, 3)
    monkeypatch.setattr("node.chain.chain.MAX_UNFOLDED_BLOCKS", 2)
    refused = await first.receive(forks[0])
    assert refused.status is ImportStatus.TOO_EARLY
    assert "forks" in refused.reason
    (following,) = await author_blocks(first, clock, 1)
    assert first.best == following.header
    assert own[1].header.hash == following.header.parent_hash


async def test_imports_run_one_after_another(make_node: NodeMaker, clock: ManualClock) -> None:
    first, second = make_node(), make_node()
    blocks = await author_blocks(first, clock, 3)
    results = []

    async def receive(block: Block) -> None:
        results.append(await second.receive(block))

    async with trio.open_nursery() as nursery:
        for block in (*blocks, *blocks):
            nursery.start_soon(receive, block)
    assert second.store.header(blocks[0].header.hash) is not None
    assert sum(result.is_imported for result in results) <= 3


async def test_the_chain_goes_on_after_a_restart(make_node: NodeMaker, clock: ManualClock) -> None:
    node = make_node()
    await author_blocks(node, clock, 5)
    best, final, path = node.best, node.chain.finalized, node.store._database.path
    node.store.close()
    again = Node(path, clock)
    assert (again.best, again.chain.finalized) == (best, final)
    await author_blocks(again, clock, 3)
    assert again.best.number == 8
    assert again.chain.finalized.number == 6
    again.store.close()


def test_all_authorities_have_turns() -> None:
    assert {key_of_slot(slot).account_id for slot in range(3)} == {one.account_id for one in (ALICE, BOB, CHARLIE)}
