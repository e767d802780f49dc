"""The beacon: layers in headers, what is refused, what is counted, and when a draw has its seed."""

from __future__ import annotations

import pytest

from pallets.chain import runtime_for
from pallets.chain_file import new_genesis
from pallets.randomness import Onion, OnionCommitment, OnionReveal, RandomnessConfig
from pallets.randomness.pallet import REVEAL_CODEC
from runtime.errors import InvalidBlock, InvariantBroken
from runtime.genesis import build_genesis
from runtime.genesis_fields import GenesisError
from runtime.state import DictState
from tests.pallets.chainfiles import account, authority
from tests.pallets.harness import FIRST_SLOT, Chain, onion_layers, transfer

EPOCH = {"Randomness": {"EpochSlots": 12}}
FOUR = ("Alice", "Bob", "Charlie", "Dave")


def reveal(layer: bytes | None = None, following: tuple[int, bytes] | None = None) -> bytes:
    return REVEAL_CODEC.encode(OnionReveal(layer, None if following is None else OnionCommitment(*following)))


def layer(name: str, epoch: int, offset: int, layers: int = 600) -> bytes:
    return onion_layers(name, epoch, layers).layer(offset)


def tip(name: str, epoch: int, layers: int = 600) -> bytes:
    return onion_layers(name, epoch, layers).tip


def skipped(chain: Chain) -> dict[str, int]:
    with chain.inside():
        return {name: chain.randomness.skipped.get(account(name)) for name in FOUR}


# Layers


def test_every_block_reveals_the_layer_of_its_slot(chain: Chain) -> None:
    chain.blocks(3)
    with chain.inside():
        stored = [chain.randomness.reveals.get(number) for number in range(3)]
        assert [(item.slot, item.layer) for item in stored if item] == [
            (FIRST_SLOT + offset, layer("Alice", 0, offset)) for offset in range(3)
        ]


def test_a_skipped_layer_is_burned_and_the_next_one_still_fits(chain: Chain) -> None:
    chain.block()
    chain.block(slot=FIRST_SLOT + 7)
    with chain.inside():
        assert chain.randomness.onions.get(account("Alice")) == Onion(0, 8, layer("Alice", 0, 7))


@pytest.mark.parametrize("offset", [0, 1, 3, 4, 599])
def test_the_layer_of_another_slot_is_refused(chain: Chain, offset: int) -> None:
    chain.blocks(2)
    with pytest.raises(InvalidBlock, match="not of the author's onion"):
        chain.block(reveal=reveal(layer("Alice", 0, offset)))


@pytest.mark.parametrize(
    "wrong", [bytes(32), layer("Bob", 0, 0), layer("Alice", 1, 0), tip("Alice", 0), layer("Alice", 0, 0)[::-1]]
)
def test_a_layer_of_another_onion_is_refused(chain: Chain, wrong: bytes) -> None:
    with pytest.raises(InvalidBlock, match="not of the author's onion"):
        chain.block(reveal=reveal(wrong))


def test_who_has_committed_must_reveal(chain: Chain) -> None:
    with pytest.raises(InvalidBlock, match="reveals no layer"):
        chain.block(reveal=reveal())


def test_a_block_without_the_digest_item_is_refused(chain: Chain) -> None:
    with pytest.raises(InvalidBlock, match="carries no item"):
        chain.begin(FIRST_SLOT, chain.digest(FIRST_SLOT)[:1])


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x00", bytes(3), b"\x01" + bytes(32)])
def test_a_digest_item_that_does_not_decode_is_refused(chain: Chain, data: bytes) -> None:
    with pytest.raises(InvalidBlock, match="randomness beacon"):
        chain.block(reveal=data)


# Epochs and commitments


def test_onions_are_committed_an_epoch_ahead_and_change_at_its_end() -> None:
    chain = Chain(("Alice", "Bob"), constants=EPOCH)
    chain.blocks(2)
    with chain.inside():
        assert chain.randomness.next_onions.get(account("Bob")) == OnionCommitment(1, tip("Bob", 1, 12))
    chain.blocks(28)
    with chain.inside():
        onion = chain.randomness.onions.get(account("Bob"))
        assert onion is not None
        assert (onion.epoch, onion.value) == (2, layer("Bob", 2, 5, 12))
        assert chain.randomness.reveal_count.get() == 30


def test_an_epoch_may_pass_without_a_block() -> None:
    chain = Chain(constants=EPOCH)
    chain.blocks(2)
    chain.block(slot=FIRST_SLOT + 30)
    with chain.inside():
        assert chain.randomness.onions.get(account("Alice")) == Onion(2, 0, tip("Alice", 2, 12))
    chain.block()
    with chain.inside():
        assert chain.randomness.reveal_count.get() == 3


def test_a_late_author_commits_for_this_epoch_and_reveals_from_its_next_slot_on() -> None:
    chain = Chain(("Alice", "Bob"), committed=["Alice"])
    with chain.inside():
        assert chain.randomness.duty(account("Bob"), FIRST_SLOT + 1).commits_epoch == 0
    chain.blocks(2)
    with chain.inside():
        assert chain.randomness.onions.get(account("Bob")) == Onion(0, 0, tip("Bob", 0))
        assert chain.randomness.reveal_count.get() == 1
        assert chain.randomness.skipped.get(account("Bob")) == 1
    chain.blocks(2)
    with chain.inside():
        assert chain.randomness.onions.get(account("Bob")) == Onion(0, 4, layer("Bob", 0, 3))


def test_a_late_author_need_not_commit() -> None:
    chain = Chain(("Alice", "Bob"), committed=["Alice"])
    chain.block()
    chain.block(reveal=reveal())
    with chain.inside():
        assert chain.randomness.onions.get(account("Bob")) is None


def test_who_has_no_onion_cannot_reveal() -> None:
    chain = Chain(("Alice", "Bob"), committed=["Alice"])
    chain.block()
    with pytest.raises(InvalidBlock, match="has no onion"):
        chain.block(reveal=reveal(layer("Bob", 0, 1)))


@pytest.mark.parametrize("epoch", [0, 2, 2**64 - 1])
def test_only_the_next_epoch_can_be_committed_to(chain: Chain, epoch: int) -> None:
    with pytest.raises(InvalidBlock, match="only epoch 1 is due"):
        chain.block(reveal=reveal(layer("Alice", 0, 0), (epoch, bytes(32))))


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_late_commitment_is_for_this_epoch_only(epoch: int) -> None:
    chain = Chain(("Alice", "Bob"), committed=["Alice"])
    chain.block()
    with pytest.raises(InvalidBlock, match="only epoch 0 is due"):
        chain.block(reveal=reveal(None, (epoch, bytes(32))))


def test_a_commitment_cannot_be_changed(chain: Chain) -> None:
    chain.block()
    with pytest.raises(InvalidBlock, match="already committed"):
        chain.block(reveal=reveal(layer("Alice", 0, 1), (1, bytes(32))))


def test_a_commitment_is_asked_for_once(chain: Chain) -> None:
    chain.block()
    with chain.inside():
        duty = chain.randomness.duty(account("Alice"), FIRST_SLOT + 1)
    assert (duty.epoch, duty.offset, duty.reveals, duty.commits_epoch) == (0, 1, True, None)


# Skipped slots


def test_slots_that_were_left_out_are_counted_for_their_authors() -> None:
    chain = Chain(FOUR)
    chain.block()
    assert skipped(chain) == {"Alice": 0, "Bob": 0, "Charlie": 0, "Dave": 0}
    chain.block(slot=FIRST_SLOT + 3)
    assert skipped(chain) == {"Alice": 0, "Bob": 1, "Charlie": 1, "Dave": 0}
    chain.block(slot=FIRST_SLOT + 9)
    assert skipped(chain) == {"Alice": 2, "Bob": 2, "Charlie": 2, "Dave": 1}


def test_a_long_silence_is_counted_without_walking_over_it() -> None:
    chain = Chain(FOUR)
    chain.block()
    with chain.inside(slot=FIRST_SLOT + 4 * 10**9):
        chain.randomness.on_initialize(2)
        assert chain.randomness.skipped.get(account("Bob")) == 10**9


# Draws


def seeds(chain: Chain, frozen: int, subject: bytes = b"subject") -> bytes | None:
    with chain.runtime.at(chain.state):
        return chain.randomness.seed(frozen, subject)


def test_a_draw_freezes_the_current_slot(chain: Chain) -> None:
    chain.blocks(2)
    with chain.runtime.at(chain.state):
        assert chain.randomness.freeze() == FIRST_SLOT + 1


def test_a_seed_is_there_when_one_full_round_is_over() -> None:
    chain = Chain(FOUR)
    chain.blocks(2)
    frozen = chain.slot
    known = []
    for _ in range(6):
        known.append(seeds(chain, frozen))
        chain.block()
    assert known[:4] == [None] * 4
    assert known[4] is not None
    assert known[5] == known[4]


def test_with_one_authority_the_next_block_has_the_seed(chain: Chain) -> None:
    chain.block()
    frozen = chain.slot
    assert seeds(chain, frozen) is None
    chain.block()
    assert seeds(chain, frozen) is not None


def test_a_round_is_over_in_slots_not_in_blocks() -> None:
    chain = Chain(FOUR)
    chain.block()
    frozen = chain.slot
    chain.block(slot=frozen + 1)
    chain.block(slot=frozen + 9)
    alone = seeds(chain, frozen)
    assert alone is not None
    other = Chain(FOUR)
    other.block()
    other.blocks(4)
    assert seeds(other, frozen) not in (None, alone)


def test_an_empty_round_is_joined_with_the_next_ones() -> None:
    chain = Chain(FOUR)
    chain.block()
    frozen = chain.slot
    chain.block(slot=frozen + 10)
    assert seeds(chain, frozen) is None
    chain.block(slot=frozen + 11)
    assert seeds(chain, frozen) is None
    chain.block(slot=frozen + 13)
    early = seeds(chain, frozen)
    assert early is not None
    chain.blocks(5)
    assert seeds(chain, frozen) == early


def test_reveals_before_the_freeze_and_after_the_round_do_not_enter() -> None:
    frozen = FIRST_SLOT + 4
    one, two = Chain(FOUR), Chain(FOUR)
    one.blocks(5 + 4)
    two.block()
    two.block(slot=frozen)
    two.blocks(4)
    two.block(slot=two.slot + 3)
    assert seeds(one, frozen) == seeds(two, frozen) is not None


def test_a_reveal_that_is_left_out_changes_the_seed() -> None:
    frozen = FIRST_SLOT
    complete, partial = Chain(FOUR), Chain(FOUR)
    complete.blocks(6)
    partial.blocks(4)
    partial.block(slot=frozen + 5)
    assert None is not seeds(complete, frozen) != seeds(partial, frozen)


def test_subjects_and_freezes_have_seeds_of_their_own() -> None:
    chain = Chain(FOUR)
    chain.blocks(8)
    found = [seeds(chain, FIRST_SLOT + offset, subject) for offset in (0, 1) for subject in (b"", b"a", b"b")]
    assert len({seed for seed in found if seed is not None}) == 6


def test_extrinsics_do_not_enter_the_seed() -> None:
    quiet, busy = Chain(FOUR), Chain(FOUR)
    quiet.blocks(6)
    for _ in range(6):
        busy.block(busy.sign("Bob", transfer(account("Eve"), 1_000)))
    assert quiet.header.hash != busy.header.hash
    assert seeds(quiet, FIRST_SLOT) == seeds(busy, FIRST_SLOT) is not None


def test_a_delayed_draw_gives_the_same_seed_while_reveals_are_kept() -> None:
    chain = Chain(FOUR, constants={"Randomness": {"KeepRounds": 3}})
    chain.blocks(5)
    first = seeds(chain, FIRST_SLOT)
    chain.blocks(8)
    assert seeds(chain, FIRST_SLOT) == first is not None
    chain.blocks(4)
    assert seeds(chain, FIRST_SLOT) not in (None, first)


def test_old_reveals_are_forgotten() -> None:
    chain = Chain(constants={"Randomness": {"KeepRounds": 3}})
    chain.blocks(8)
    with chain.inside():
        assert [number for number, _ in sorted(chain.randomness.reveals.items())] == [5, 6, 7]


# Another node, genesis, invariants


def test_another_node_comes_to_the_same_state_over_an_epoch_change() -> None:
    chain = Chain(("Alice", "Bob"), constants=EPOCH)
    for _ in range(30):
        parent, state = chain.header, DictState(chain.state.pairs)
        chain.verify(chain.block(), parent, state)


@pytest.mark.parametrize(
    "onions",
    [
        [["0x" + account("Eve").hex(), "0x" + bytes(32).hex()]],
        [["0x" + account("Alice").hex(), "0x" + bytes(31).hex()]],
        [["0x" + account("Alice").hex()]],
        [["0x" + account("Alice").hex(), "0x" + bytes(32).hex()]] * 2,
        {"Alice": "0x00"},
    ],
)
def test_genesis_takes_one_tip_of_each_authority_only(onions: object) -> None:
    spec = new_genesis(
        name="x", id="x", chain_type="Local", slot_duration_ms=1_000,
        authorities=[authority("Alice"), authority("Bob")], balances=[],
    )  # fmt: skip
    spec.genesis["Randomness"]["onions"] = onions
    with pytest.raises(GenesisError, match="onions"):
        build_genesis(runtime_for(spec), spec)


def test_try_state_finds_a_reveal_that_is_missing(chain: Chain) -> None:
    chain.blocks(3)
    with chain.inside(), pytest.raises(InvariantBroken, match="latest"):
        chain.randomness.reveals.remove(1)
        chain.randomness.try_state()


@pytest.mark.parametrize("field", ["epoch_slots", "keep_rounds"])
def test_a_beacon_without_slots_or_memory_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RandomnessConfig(**{field: 0})
