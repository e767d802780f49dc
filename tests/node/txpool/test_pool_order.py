"""What the pool hands to an author, and in which order."""

from __future__ import annotations

import itertools
import random

import pytest

from node.txpool.events import Future, Ready
from tests.node.txpool.conftest import Harness, make


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
