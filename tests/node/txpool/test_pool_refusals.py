"""What the pool does not take, takes the place of, or drops, and for whom it has room."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import pytest

from node.txpool.errors import (
    AlreadyImported,
    CycleDetected,
    ImmediatelyDropped,
    PoolError,
    TemporarilyBanned,
    TooLowPriority,
)
from node.txpool.events import Dropped, Future, Invalid, Ready, Usurped
from node.txpool.pool import Included
from tests.node.txpool.conftest import Harness, Made, make, tag

# Refusals


def test_a_transaction_is_taken_once(large: Harness) -> None:
    one = make("a", 0)
    large.submit(one)
    with pytest.raises(AlreadyImported) as caught:
        large.submit(one)
    assert caught.value.transaction_hash == one.hash


@pytest.mark.parametrize(("nonce", "tip"), [(0, 3), (0, 2), (2, 3), (2, 1)])
def test_replacing_needs_a_strictly_higher_priority(large: Harness, nonce: int, tip: int) -> None:
    old = make("a", nonce, tip=3)
    large.submit(old)
    new = make("a", nonce, tip=tip, size=120)
    with pytest.raises(TooLowPriority) as caught:
        large.submit(new)
    assert (caught.value.old, caught.value.new) == (3, tip)
    assert old.hash in large.pool
    assert new.hash not in large.pool


def test_a_higher_tip_usurps_and_dependents_stay(large: Harness) -> None:
    old, dependent = make("a", 0, tip=3), make("a", 1)
    large.submit(old, dependent)
    new = make("a", 0, tip=4)
    assert large.submit(new) == [(old.hash, Usurped(new.hash)), (new.hash, Ready())]
    assert large.ready() == [new.hash, dependent.hash]
    assert old.hash not in large.pool


def test_a_future_transaction_is_usurped_too(large: Harness) -> None:
    old, new = make("a", 5, tip=3), make("a", 5, tip=4)
    large.submit(old)
    assert large.submit(new) == [(old.hash, Usurped(new.hash)), (new.hash, Future())]


def test_a_transaction_that_requires_itself_is_refused(large: Harness) -> None:
    one = make("a", 1)
    with pytest.raises(CycleDetected):
        large.submit(Made(one.extrinsic, replace(one.validity, provides=one.validity.requires)))
    assert len(large.pool) == 0


def test_replacing_several_costs_their_sum_and_drops_what_loses_its_tag(large: Harness) -> None:
    first, second, dependent = make("a", 0, tip=3), make("b", 0, tip=4), make("b", 1)
    large.submit(first, second, dependent)
    greedy = make("c", 0, tip=7)
    both = replace(greedy.validity, provides=(tag("a", 0), tag("b", 0)))
    with pytest.raises(TooLowPriority):
        large.submit(Made(greedy.extrinsic, both))
    richer = replace(both, priority=8, provides=(tag("a", 0), tag("c", 0)))
    large.submit(Made(greedy.extrinsic, richer))
    assert set(large.ready()) == {greedy.hash, second.hash, dependent.hash}


def test_what_was_invalid_is_banned_for_a_while(small: Harness) -> None:
    one = make("a", 0)
    small.submit(one)
    assert small.pool.remove_invalid([one.hash], small.block) == [(one.hash, Invalid())]
    with pytest.raises(TemporarilyBanned, match="until block 15"):
        small.submit(one)
    small.block += 5
    small.submit(one)
    assert small.ready() == [one.hash]


def test_invalid_takes_its_dependents_with_it_but_bans_only_itself(large: Harness) -> None:
    chain = [make("a", nonce) for nonce in range(3)]
    large.submit(*chain)
    happened = large.pool.remove_invalid([chain[1].hash], large.block)
    assert happened == [(chain[1].hash, Invalid()), (chain[2].hash, Invalid())]
    assert large.ready() == [chain[0].hash]
    large.submit(chain[2])
    with pytest.raises(TemporarilyBanned):
        large.submit(chain[1])


def test_the_list_of_bans_is_bounded(small: Harness) -> None:
    for nonce in range(20):
        small.submit(make("a", nonce, account_nonce=nonce))
        small.pool.remove_invalid([make("a", nonce).hash], small.block)
    assert len(small.pool._banned_until) <= 4


# Limits


def test_a_full_pool_drops_the_worst_and_among_equals_the_newest(small: Harness) -> None:
    four = [make(sender, 0, tip=tip) for sender, tip in (("a", 2), ("b", 1), ("c", 1), ("d", 2))]
    small.submit(*four)
    better = make("e", 0, tip=2)
    assert small.submit(better) == [(better.hash, Ready()), (four[2].hash, Dropped())]
    with pytest.raises(ImmediatelyDropped):
        small.submit(make("f", 0, tip=1))
    assert len(small.pool) == 4


def test_dropping_takes_dependents_along(small: Harness) -> None:
    chain = [make("a", 0), make("a", 1, tip=9), make("a", 2, tip=9)]
    small.submit(*chain, make("b", 0, tip=5))
    happened = small.submit(make("c", 0, tip=5))
    assert {one for one, event in happened if event == Dropped()} == {one.hash for one in chain}


def test_bytes_are_bounded_too(small: Harness) -> None:
    small.submit(make("a", 0, size=500), make("b", 0, size=500, tip=1))
    happened = small.submit(make("c", 0, size=200, tip=1))
    assert (make("a", 0, size=500).hash, Dropped()) in happened
    assert small.pool.status().ready_bytes == 700
    with pytest.raises(ImmediatelyDropped):
        small.submit(make("d", 0, size=1_001, tip=0))


def test_the_future_queue_is_bounded_by_count_and_bytes(small: Harness) -> None:
    three = [make(sender, 5) for sender in "abc"]
    small.submit(*three)
    with pytest.raises(ImmediatelyDropped):
        small.submit(make("d", 5))
    assert (three[2].hash, Dropped()) in small.submit(make("d", 5, tip=1))
    with pytest.raises(ImmediatelyDropped):
        small.submit(make("e", 5, size=401, tip=0))


def test_a_sender_has_a_share_only(small: Harness) -> None:
    small.pool.limits = replace(small.pool.limits, ready_transactions=100, ready_bytes=100_000)
    small.submit(*[make("a", nonce) for nonce in range(5)])
    with pytest.raises(ImmediatelyDropped, match="sender"):
        small.submit(make("a", 5))
    small.submit(make("a", 4, tip=1), make("b", 0))
    assert len(small.pool) == 6


def test_a_refusal_by_a_full_pool_tells_what_happened_to_others(small: Harness) -> None:
    small.submit(make("a", 0, tip=5), make("b", 0, tip=5), make("c", 0, tip=5, size=600))
    small.submit(make("d", 0, tip=1))
    with pytest.raises(ImmediatelyDropped) as caught:
        small.submit(make("d", 0, tip=2, size=900))
    assert caught.value.happened == ((make("d", 0, tip=1).hash, Usurped(make("d", 0, tip=2, size=900).hash)),)


@pytest.mark.parametrize("seed", range(4))
def test_limits_and_indices_hold_under_random_load(small: Harness, seed: int) -> None:
    chance = random.Random(seed)
    pool = small.pool
    nonces = dict.fromkeys("abcdef", 0)
    for _ in range(1_500):
        sender = chance.choice("abcdef")
        account = nonces[sender]
        made = make(sender, account + chance.randrange(4), account_nonce=account, tip=chance.randrange(6))
        with contextlib.suppress(PoolError):
            small.submit(made)
        if chance.random() < 0.1:
            small.block += 1
            ready = list(pool.ready())[:2]
            block = [Included(one.hash, at, one.validity.provides) for at, one in enumerate(ready)]
            for one in ready:
                nonces[one.validity.sender.rstrip(b"\x00").decode()] += 1
            pool.on_block(small.block, small.block.to_bytes(32, "big"), block)
        status = pool.status()
        assert status.ready <= 4
        assert status.future <= 3
        assert status.ready_bytes == sum(len(one.extrinsic) for one in pool.transactions() if one.is_ready)
        assert len(list(pool.ready())) == status.ready
        assert sum(len(own) for own in pool._by_sender.values()) == len(pool)
        assert len(pool._expiry) <= 3 * len(pool) + 70
        assert len(pool._to_revalidate) <= 3 * len(pool) + 70
