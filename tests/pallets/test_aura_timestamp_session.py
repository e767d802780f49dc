"""Slots and times: what the first extrinsic and the digest of a block must say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pallets.aura import AURA_ENGINE
from pallets.randomness import ONION_ENGINE
from runtime.call import RuntimeCall
from runtime.errors import InvalidBlock, InvalidTransaction, InvariantBroken
from runtime.header import Consensus, DigestItem, Other, PreRuntime
from runtime.state import DictState
from tests.pallets.chainfiles import DEVELOPERS, account
from tests.pallets.harness import FIRST_SLOT, Chain, outcome_of, transfer


def test_a_block_by_another_node_verifies_to_the_same_root(chain: Chain) -> None:
    parent, state = chain.header, DictState(chain.state.pairs)
    executed = chain.block(chain.sign("Bob", transfer(account("Eve"), 1_000)))
    chain.verify(executed, parent, state)


def test_the_author_of_a_slot_goes_round() -> None:
    chain = Chain(DEVELOPERS[:4])
    with chain.inside():
        turns = [chain.aura.author_of(slot) for slot in range(8)]
    assert turns == [account(name) for name in DEVELOPERS[:4]] * 2


def test_validators_are_the_authorities() -> None:
    chain = Chain(DEVELOPERS[:3])
    with chain.inside():
        assert chain.runtime.pallet("Session").validators.get() == chain.aura.authorities()  # type: ignore[attr-defined]


def test_validators_that_differ_break_an_invariant(chain: Chain) -> None:
    with chain.inside(), pytest.raises(InvariantBroken, match="Validators"):
        chain.aura.authority_keys.put((account("Bob"),))
        chain.runtime.pallet("Session").try_state()


def test_a_slot_must_rise(chain: Chain) -> None:
    chain.block()
    for slot in (chain.slot, chain.slot - 1, 0):
        with pytest.raises(InvalidBlock, match="does not follow"):
            chain.begin(slot, (PreRuntime(AURA_ENGINE, slot.to_bytes(8, "little")), *chain.digest(FIRST_SLOT + 1)[1:]))


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9)])
def test_a_slot_has_eight_bytes(chain: Chain, data: bytes) -> None:
    with pytest.raises(InvalidBlock, match="8 bytes"):
        chain.begin(FIRST_SLOT, (PreRuntime(AURA_ENGINE, data),))


def test_a_digest_without_a_slot_is_refused(chain: Chain) -> None:
    with pytest.raises(InvalidBlock, match="no Aura slot"):
        chain.begin(FIRST_SLOT, (chain.digest(FIRST_SLOT)[1],))


@pytest.mark.parametrize("item", [PreRuntime(AURA_ENGINE, bytes(8)), Consensus(ONION_ENGINE, bytes(8))])
def test_a_digest_with_two_items_of_one_engine_is_refused(chain: Chain, item: DigestItem) -> None:
    digest = chain.digest(FIRST_SLOT)
    with pytest.raises(InvalidBlock, match="holds 2"):
        chain.begin(FIRST_SLOT, (*digest, item))


def test_the_reveal_counts_only_as_the_item_that_the_author_may_make(chain: Chain) -> None:
    slot, reveal = chain.digest(FIRST_SLOT)
    for wrong in (PreRuntime(ONION_ENGINE, reveal.data), Consensus(b"dtom", reveal.data)):  # type: ignore[attr-defined]
        with pytest.raises(InvalidBlock, match="randomness beacon"):
            chain.begin(FIRST_SLOT, (slot, wrong))


@pytest.mark.parametrize("item", [Consensus(b"FRNK", b"change"), Consensus(ONION_ENGINE, b""), Other(b"more")])
def test_an_author_adds_nothing_to_the_digest_that_the_chain_did_not(chain: Chain, item: DigestItem) -> None:
    parent, state = chain.header, DictState(dict(chain.state.pairs))
    executed = chain.block()
    chain.verify(executed, parent, state)
    for digest in ((*executed.header.digest, item), (item, *executed.header.digest)):
        claimed = replace(executed, header=replace(executed.header, digest=digest))
        with pytest.raises(InvalidBlock):
            chain.verify(claimed, parent, state)


def test_the_time_is_stored_and_the_mark_of_the_block_is_not(chain: Chain) -> None:
    chain.block()
    timestamp = chain.runtime.pallet("Timestamp")
    with chain.runtime.at(chain.state):
        assert timestamp.now_ms() == FIRST_SLOT * 1_000  # type: ignore[attr-defined]
        assert not timestamp.did_update.exists()  # type: ignore[attr-defined]


@pytest.mark.parametrize("now_ms", [0, FIRST_SLOT * 1_000 - 1, (FIRST_SLOT + 1) * 1_000])
def test_a_time_outside_of_the_slot_is_refused(chain: Chain, now_ms: int) -> None:
    execution = chain.begin(FIRST_SLOT)
    with pytest.raises(InvalidBlock, match="lies in slot"):
        execution.apply(chain.inherent(now_ms))


def test_blocks_are_at_least_half_a_slot_apart(chain: Chain) -> None:
    execution = chain.begin(FIRST_SLOT)
    execution.apply(chain.inherent(FIRST_SLOT * 1_000 + 501))
    chain.adopt(execution.finalize(), FIRST_SLOT)
    following = chain.begin(FIRST_SLOT + 1)
    with pytest.raises(InvalidBlock, match="500 ms after"):
        following.apply(chain.inherent((FIRST_SLOT + 1) * 1_000))
    chain.begin(FIRST_SLOT + 1).apply(chain.inherent((FIRST_SLOT + 1) * 1_000 + 1))


def test_a_block_without_a_time_is_refused(chain: Chain) -> None:
    with pytest.raises(InvalidBlock):
        chain.begin().finalize()


def test_a_block_whose_first_extrinsic_is_signed_is_refused(chain: Chain) -> None:
    with pytest.raises(InvalidTransaction):
        chain.begin().apply(chain.sign("Bob", transfer(account("Eve"), 1_000)))


def test_the_time_is_set_only_once(chain: Chain) -> None:
    execution = chain.begin(FIRST_SLOT)
    execution.apply(chain.inherent(FIRST_SLOT * 1_000))
    with pytest.raises(InvalidTransaction):
        execution.apply(chain.inherent(FIRST_SLOT * 1_000))


def test_nobody_who_signs_can_set_the_time(chain: Chain) -> None:
    call = chain.runtime.extrinsic_codec.decode(chain.inherent(FIRST_SLOT * 1_000)).call
    with pytest.raises(InvalidTransaction):
        chain.block(chain.sign("Alice", call))


def test_root_cannot_set_the_time(chain: Chain) -> None:
    inner = RuntimeCall("Timestamp", "set", {"now": FIRST_SLOT * 1_000})
    batch = RuntimeCall("Utility", "batch", {"calls": (inner,)})
    outcome = outcome_of(chain.runtime, chain.block(chain.sign("Alice", RuntimeCall("Sudo", "sudo", {"call": batch}))))
    assert "BatchInterrupted" in [type(event).__name__ for event in outcome.events]
