from __future__ import annotations

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node import limits
from node.net.cbor import decode
from node.net.gossip import Outbox, SeenCache
from node.net.messages import Batch
from runtime import limits as runtime_limits


async def taken(outbox: Outbox) -> list[tuple[bytes, ...]]:
    return [decode(Batch, frame).items for frame in await outbox.take()]


def test_an_item_is_news_once_per_kind() -> None:
    seen = SeenCache()
    assert seen.add("transactions", b"x")
    assert not seen.add("transactions", b"x")
    assert seen.add("blocks", b"x")


def test_the_seen_cache_forgets_the_oldest() -> None:
    seen = SeenCache(max_messages=2)
    for item in (b"a", b"b", b"c"):
        seen.add("k", item)
    assert not seen.add("k", b"c")
    assert seen.add("k", b"a")


async def test_everything_queued_is_taken_at_once_and_in_order() -> None:
    outbox = Outbox(10)
    outbox.put([b"a", b"b"])
    outbox.put([b"c"])
    assert await taken(outbox) == [(b"a", b"b", b"c")]


async def test_take_waits_for_something(autojump_clock: object) -> None:
    outbox = Outbox(10)
    outbox.put([])
    with trio.move_on_after(1) as waiting:
        await outbox.take()
    assert waiting.cancelled_caught
    outbox.put([b"a"])
    assert await taken(outbox) == [(b"a",)]
    with trio.move_on_after(1) as waiting:
        await outbox.take()
    assert waiting.cancelled_caught


async def test_a_full_outbox_drops_the_oldest_and_counts() -> None:
    outbox = Outbox(2)
    outbox.put([b"a", b"b", b"c"])
    assert outbox.dropped == 1
    assert await taken(outbox) == [(b"b", b"c")]


async def test_an_outbox_is_bounded_in_bytes_too() -> None:
    outbox = Outbox(100, max_bytes=10)
    outbox.put([bytes(6), bytes(6)])
    assert outbox.dropped == 1
    assert await taken(outbox) == [(bytes(6),)]


def test_items_are_cut_into_batches_within_the_frame_bound() -> None:
    @settings(max_examples=25)
    @given(st.lists(st.sampled_from([0, 1, 100, 50_000, 250_000, limits.MAX_EXTRINSIC_BYTES]), min_size=1, max_size=20))
    def check(sizes: list[int]) -> None:
        async def main() -> list[bytes]:
            outbox = Outbox(len(sizes))
            outbox.put([bytes(size) for size in sizes])
            return await outbox.take()

        frames = trio.run(main)
        assert all(len(frame) <= limits.MAX_FRAME_BYTES for frame in frames)
        received = [len(item) for frame in frames for item in decode(Batch, frame).items]
        assert received == sizes

    check()


async def test_a_batch_holds_a_bounded_number_of_items() -> None:
    outbox = Outbox(2 * limits.MAX_BATCH_ITEMS)
    outbox.put([index.to_bytes(4, "big") for index in range(2 * limits.MAX_BATCH_ITEMS)])
    assert [len(batch) for batch in await taken(outbox)] == [limits.MAX_BATCH_ITEMS] * 2


def test_whatever_extrinsic_a_chain_accepts_can_be_passed_on() -> None:
    assert runtime_limits.EXTRINSIC_LENGTH_BYTES <= limits.MAX_EXTRINSIC_BYTES
