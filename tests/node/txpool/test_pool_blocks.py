"""What blocks, finality and time do to the pool."""

from __future__ import annotations

import pytest

from node.txpool.errors import ImmediatelyDropped, TemporarilyBanned
from node.txpool.events import Broadcast, FinalityTimeout, Finalized, Future, InBlock, Invalid, Ready, Retracted
from node.txpool.pool import Included, PoolLimits
from runtime.errors import InvalidTransaction, Validity
from runtime.validity import TransactionValidity
from tests.node.txpool.conftest import Harness, Made, make

BLOCK, OTHER = b"\x01" * 32, b"\x02" * 32


def included(*transactions: Made) -> list[Included]:
    return [Included(one.hash, index + 1, one.validity.provides) for index, one in enumerate(transactions)]


def always(made: Made) -> TransactionValidity:
    return made.validity


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
