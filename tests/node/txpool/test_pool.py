"""The rules of the pool, one test each."""

from __future__ import annotations

import contextlib
import itertools
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
from node.txpool.events import (
    Broadcast,
    Dropped,
    FinalityTimeout,
    Finalized,
    Future,
    InBlock,
    Invalid,
    Ready,
    Retracted,
    Usurped,
)
from node.txpool.pool import Included, PoolLimits
from runtime.errors import InvalidTransaction, Validity
from runtime.validity import TransactionValidity
from tests.node.txpool.conftest import Harness, Made, make, tag

BLOCK, OTHER = b"\x01" * 32, b"\x02" * 32


def included(*transactions: Made) -> list[Included]:
    return [Included(one.hash, index + 1, one.validity.provides) for index, one in enumerate(transactions)]


def always(made: Made) -> TransactionValidity:
    return made.validity


# Order


def test_a_transaction_whose_nonce_is_next_is_ready_and_one_ahead_is_future(large: Harness) -> None:
    first, third = make("a", 0), make("a", 2)
    assert large.submit(first, third) == [(first.hash, Ready()), (third.hash, Future())]
    assert large.ready() == [first.hash]


def test_filling_a_gap_makes_the_rest_ready_in_order(large: Harness) -> None:
    chain = [make("a", nonce) for nonce in range(4)]
    large.submit(chain[0], chain[3], chain[2])
    assert large.submit(chain[1]) == [(one.hash, Ready()) for one in (chain[1], chain[2], chain[3])]
    assert large.ready() == [one.hash for one in chain]


def test_higher_priority_goes_first_then_sooner_expiry_then_earlier_arrival(large: Harness) -> None:
    late, early = make("a", 0), make("b", 0)
    expiring, tipping = make("c", 0, longevity=50), make("d", 0, tip=5)
    large.submit(late, early, expiring, tipping)
    assert large.ready() == [one.hash for one in (tipping, expiring, late, early)]


def test_nonces_of_a_sender_stay_in_order_whatever_they_tip(large: Harness) -> None:
    cheap, rich, other = make("a", 0), make("a", 1, tip=9), make("b", 0, tip=3)
    large.submit(cheap, rich, other)
    assert large.ready() == [other.hash, cheap.hash, rich.hash]


def test_skipping_a_transaction_skips_all_that_require_it(large: Harness) -> None:
    chain = [make("a", nonce, tip=5) for nonce in range(3)]
    other = make("b", 0)
    large.submit(*chain, other)
    ready = large.pool.ready()
    assert next(ready).hash == chain[0].hash
    ready.skip_dependents()
    assert [one.hash for one in ready] == [other.hash]


def test_what_leaves_the_pool_during_a_pass_is_passed_over_with_all_that_requires_it(large: Harness) -> None:
    first, second, third = (make("a", nonce) for nonce in range(3))
    lone = make("b", 0)
    large.submit(first, second, third, lone)
    ready = large.pool.ready()
    assert next(ready).hash == first.hash
    large.pool.remove_invalid([second.hash], 1)
    assert [one.hash for one in ready] == [lone.hash]


def test_what_is_usurped_during_a_pass_does_not_come(large: Harness) -> None:
    first, old, new = make("a", 0), make("b", 0), make("b", 0, tip=9)
    large.submit(first, old)
    ready = large.pool.ready()
    assert next(ready).hash == first.hash
    large.submit(new)
    assert old.hash not in [one.hash for one in ready]


def test_what_arrives_during_a_pass_may_follow_what_it_requires(large: Harness) -> None:
    first, second = make("a", 0), make("a", 1)
    large.submit(first)
    ready = large.pool.ready()
    assert next(ready).hash == first.hash
    large.submit(second)
    assert [one.hash for one in ready] == [second.hash]


def test_a_pass_over_the_pool_does_not_change_it(large: Harness) -> None:
    large.submit(*[make("a", nonce) for nonce in range(5)], make("b", 0))
    assert large.ready() == large.ready()
    assert len(large.pool) == 6


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_arrival_gives_valid_nonce_order(large: Harness, seed: int) -> None:
    chance = random.Random(seed)
    everything = [make(sender, nonce, tip=chance.randrange(5)) for sender in "abcd" for nonce in range(10)]
    shuffled = list(everything)
    chance.shuffle(shuffled)
    large.submit(*shuffled)
    position = {transaction_hash: at for at, transaction_hash in enumerate(large.ready())}
    assert len(position) == len(everything)
    for before, after in itertools.pairwise(everything):
        if before.validity.sender == after.validity.sender:
            assert position[before.hash] < position[after.hash]


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


# The chain moves


def test_a_block_takes_its_transactions_and_frees_the_next(large: Harness) -> None:
    chain = [make("a", nonce) for nonce in range(3)]
    large.submit(*chain)
    happened = large.pool.on_block(11, BLOCK, included(chain[0], chain[1]))
    assert happened == [(chain[0].hash, InBlock(BLOCK, 1)), (chain[1].hash, InBlock(BLOCK, 2))]
    assert large.ready() == [chain[2].hash]


def test_a_block_with_unknown_transactions_frees_futures_and_removes_conflicts(large: Harness) -> None:
    conflict, waiting = make("a", 0, tip=1), make("b", 1)
    large.submit(conflict, waiting)
    happened = large.pool.on_block(11, BLOCK, included(make("a", 0, tip=2), make("b", 0)))
    assert happened == [(conflict.hash, Invalid()), (waiting.hash, Ready())]
    assert large.ready() == [waiting.hash]


def test_a_future_transaction_freed_and_included_by_the_same_block_leaves(large: Harness) -> None:
    later = make("a", 1)
    large.submit(later)
    happened = large.pool.on_block(11, BLOCK, included(make("a", 0), later))
    assert happened == [(later.hash, Ready()), (later.hash, InBlock(BLOCK, 2))]
    assert len(large.pool) == 0


def test_an_included_transaction_is_not_taken_again_until_it_is_retracted(large: Harness) -> None:
    one = make("a", 0)
    large.submit(one)
    large.pool.on_block(11, BLOCK, included(one))
    with pytest.raises(TemporarilyBanned):
        large.submit(one)
    large.pool.on_retracted(BLOCK, [one.hash])
    assert large.submit(one) == [(one.hash, Ready())]


def test_watched_transactions_are_followed_to_finality(large: Harness) -> None:
    watched, other = make("a", 0), make("b", 0)
    large.pool.watch(watched.hash)
    large.submit(watched, other)
    large.pool.on_block(11, BLOCK, included(watched, other))
    assert large.pool.on_retracted(BLOCK, [watched.hash, other.hash]) == [(watched.hash, Retracted(BLOCK))]
    large.submit(watched)
    large.pool.on_block(12, OTHER, included(watched))
    assert large.pool.on_finalized(BLOCK) == []
    assert large.pool.on_finalized(OTHER) == [(watched.hash, Finalized(OTHER, 1))]
    assert large.pool.on_finalized(OTHER) == []
    assert watched.hash not in large.pool._watched


def test_finality_that_does_not_come_in_time_ends_the_watch(small: Harness) -> None:
    one = make("a", 0)
    small.pool.watch(one.hash)
    small.submit(one)
    small.pool.on_block(11, BLOCK, included(one))
    assert small.pool.on_block(16, OTHER, []) == []
    assert small.pool.on_block(17, OTHER, []) == [(one.hash, FinalityTimeout(BLOCK))]
    assert small.pool.on_finalized(BLOCK) == []


def test_watchers_are_bounded(small: Harness) -> None:
    for index in range(3):
        small.pool.watch(bytes([index]) * 32)
    with pytest.raises(ImmediatelyDropped):
        small.pool.watch(b"\x09" * 32)
    small.pool.unwatch(b"\x00" * 32)
    small.pool.watch(b"\x09" * 32)


def test_a_mortal_transaction_expires(large: Harness) -> None:
    mortal, dependent = make("a", 0, longevity=3), make("a", 1)
    large.submit(mortal, dependent)
    assert large.pool.on_block(12, BLOCK, []) == []
    happened = large.pool.on_block(13, OTHER, [])
    assert happened == [(mortal.hash, Invalid()), (dependent.hash, Invalid())]


def test_broadcast_is_told_for_what_is_in_the_pool(large: Harness) -> None:
    one = make("a", 0)
    assert large.pool.broadcast(one.hash, ["peer"]) == []
    large.submit(one)
    assert large.pool.broadcast(one.hash, ["peer"]) == [(one.hash, Broadcast(("peer",)))]


def test_every_transaction_is_checked_again_in_turn(small: Harness) -> None:
    transactions = [make(sender, 0) for sender in "abcd"]
    by_extrinsic = {one.extrinsic: one for one in transactions}
    small.submit(*transactions)
    seen: list[bytes] = []

    def validate(extrinsic: bytes) -> TransactionValidity:
        seen.append(extrinsic)
        return by_extrinsic[extrinsic].validity

    for _ in range(4):
        assert small.pool.revalidate(validate, small.block) == []
    assert seen == [one.extrinsic for one in transactions] * 2


@pytest.mark.parametrize("kind", [Validity.STALE, Validity.PAYMENT, Validity.ANCIENT_BIRTH_BLOCK])
def test_what_has_become_invalid_leaves_and_is_banned(large: Harness, kind: Validity) -> None:
    one, dependent = make("a", 0), make("a", 1)
    large.submit(one, dependent)

    def refuse(extrinsic: bytes) -> TransactionValidity:
        raise InvalidTransaction(kind)

    assert large.pool.revalidate(refuse, large.block) == [(one.hash, Invalid()), (dependent.hash, Invalid())]
    with pytest.raises(TemporarilyBanned):
        large.submit(one)


def test_a_nonce_that_went_back_sends_the_chain_of_dependents_to_the_future(large: Harness) -> None:
    chain = [make("a", nonce, account_nonce=3) for nonce in (3, 4, 5)]
    large.submit(*chain)
    again = {one.extrinsic: make("a", one.validity.nonce, account_nonce=2).validity for one in chain}
    happened = large.pool.revalidate(lambda extrinsic: again[extrinsic], large.block)
    assert happened == [(one.hash, Future()) for one in chain]
    assert large.ready() == []
    assert large.submit(make("a", 2, account_nonce=2))[1:] == [(one.hash, Ready()) for one in chain]


def test_a_future_transaction_whose_turn_came_becomes_ready_by_revalidation(large: Harness) -> None:
    one, following = make("a", 2), make("a", 3)
    large.submit(one, following)
    later = {made.extrinsic: make("a", made.validity.nonce, account_nonce=2).validity for made in (one, following)}
    happened = large.pool.revalidate(lambda extrinsic: later[extrinsic], large.block)
    assert happened == [(one.hash, Ready()), (following.hash, Ready())]


def test_the_next_nonce_counts_ready_transactions_without_gaps(large: Harness) -> None:
    large.submit(*[make("a", nonce, account_nonce=3) for nonce in (3, 4, 6)])
    sender = make("a", 0).validity.sender
    assert large.pool.next_nonce(sender, 3) == 5
    assert large.pool.next_nonce(sender, 9) == 9
    assert large.pool.next_nonce(b"\x05" * 32, 7) == 7


def test_limits_have_the_values_of_substrate() -> None:
    limits = PoolLimits()
    assert (limits.ready_transactions, limits.ready_bytes) == (8_192, 20 * 1024 * 1024)
    assert (limits.future_transactions, limits.future_bytes) == (512, 1024 * 1024)
