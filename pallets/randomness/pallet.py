"""The randomness beacon: hash onions of the authorities, peeled one layer per slot.

Each block carries the layer of its slot (see `onion`); a wrong, missing or unexpected one makes the block invalid. A
draw freezes its candidates in slot f and reads `seed(f, subject)` once the slots f+1 … f+n of one full round are
over. The layers were committed before the freeze and extrinsics do not enter, so nobody can aim; an author may only
leave out its own layers by leaving out its blocks, which is counted. The last author of a round knows the seed before
the others do: it can still choose between the seed with its layer and the one without, at the price of its block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from operator import add
from typing import Any

from pallets.aura import Aura, carried_data
from pallets.randomness.config import RandomnessConfig
from pallets.randomness.onion import HASH_BYTES, OnionLayers, peel
from pallets.randomness.types import ONION_ENGINE, Onion, OnionCommitment, OnionDuty, OnionReveal, Reveal
from pallets.system import System
from runtime.codec import codec_for
from runtime.errors import CodecError, InvalidBlock, InvariantBroken
from runtime.genesis_fields import GenesisError, GenesisPath, read_account, read_bytes, read_list, read_mapping
from runtime.header import Consensus
from runtime.pallet import Pallet
from runtime.storage import BLAKE2_128_CONCAT, TWOX_64_CONCAT, StorageMap, StorageValue
from runtime.types import U64, AccountId
from runtime.weights import PICOSECONDS_PER_MICROSECOND, Weight

REVEAL_CODEC = codec_for(OnionReveal)

_SEED_DOMAIN = b"datdot/beacon"
_ON_INITIALIZE_WEIGHT = Weight(120 * PICOSECONDS_PER_MICROSECOND)
_PEEL_WEIGHT = Weight(PICOSECONDS_PER_MICROSECOND)


class Randomness(Pallet):
    """A beacon of hash onions: every block reveals one layer that its author committed to an epoch ahead."""

    name = "Randomness"
    index = 4
    digest_engines = (ONION_ENGINE,)
    Config = RandomnessConfig
    config: RandomnessConfig

    genesis_slot = StorageValue(U64, docs="The slot of block 1, from which epochs are counted.")
    onions = StorageMap(AccountId, Onion, hasher=BLAKE2_128_CONCAT, docs="The onion that an authority peels now.")
    next_onions = StorageMap(
        AccountId, OnionCommitment, hasher=BLAKE2_128_CONCAT, docs="The commitment of an authority for its next epoch."
    )
    skipped = StorageMap(
        AccountId, U64, hasher=BLAKE2_128_CONCAT, default=0, docs="Slots of an authority that passed without its layer."
    )
    last_slot = StorageValue(U64, docs="The slot of the latest block.")
    reveal_count = StorageValue(U64, default=0, docs="Layers revealed since genesis: the key of the next reveal.")
    reveals = StorageMap(U64, Reveal, hasher=TWOX_64_CONCAT, docs="The latest reveals, by their running number.")

    def __init__(self, config: RandomnessConfig, *, system: System, aura: Aura) -> None:
        super().__init__(config)
        self.system = system
        self.aura = aura

    # What other pallets call

    def freeze(self) -> int:
        """Return the current slot: what a caller stores beside its frozen candidates to draw from them later."""
        return self.aura.current_slot()

    def seed(self, frozen_slot: int, subject: bytes) -> bytes | None:
        """Return 32 bytes for one subject from the round after `frozen_slot`, or None while that round is not over.

        A round without any reveal is joined with the next one, and so on. The answer does not depend on when it is
        asked, as long as the reveals are kept (`keep_rounds`); later it comes from the oldest reveal that is.
        """
        first = self._first_reveal_after(frozen_slot)
        if first is None:
            return None
        round_slots = len(self.aura.authorities())
        rounds = -(-(self._reveal(first).slot - frozen_slot) // round_slots)
        last_slot = frozen_slot + rounds * round_slots
        if self.aura.current_slot() < last_slot:
            return None
        digest = hashlib.blake2b(_SEED_DOMAIN, digest_size=32)
        digest.update(frozen_slot.to_bytes(8, "little") + len(subject).to_bytes(4, "little") + subject)
        for number in range(first, self.reveal_count.get()):
            reveal = self._reveal(number)
            if reveal.slot > last_slot:
                break
            digest.update(reveal.slot.to_bytes(8, "little") + reveal.layer)
        return digest.digest()

    # What an author calls, on the state of the parent block

    def duty(self, author: bytes, slot: int) -> OnionDuty:
        """Say what the digest of a block by `author` in `slot` must carry on top of the current state."""
        epoch, offset = self._epoch_and_offset(slot)
        if self._current_onion(author, epoch) is None:
            return OnionDuty(epoch, offset, reveals=False, commits_epoch=epoch)
        commitment = self.next_onions.get(author)
        due = commitment is None or commitment.epoch <= epoch
        return OnionDuty(epoch, offset, reveals=True, commits_epoch=epoch + 1 if due else None)

    def prepare(self, author: bytes, slot: int, layers_of: Callable[[int], OnionLayers]) -> bytes:
        """Return the digest payload for a block by `author` in `slot`; `layers_of(epoch)` gives the author's onions."""
        duty = self.duty(author, slot)
        layer = layers_of(duty.epoch).layer(duty.offset) if duty.reveals else None
        epoch = duty.commits_epoch
        commitment = None if epoch is None else OnionCommitment(epoch, layers_of(epoch).tip)
        return REVEAL_CODEC.encode(OnionReveal(layer, commitment))

    # Hooks

    def on_initialize(self, number: int) -> Weight:
        """Check and store the layer and the commitment of this block, and count the slots that were left out."""
        slot, author = self.aura.current_slot(), self.aura.author()
        if self.genesis_slot.get() is None:
            self.genesis_slot.put(slot)
        self._count_missed_slots(slot)
        epoch, offset = self._epoch_and_offset(slot)
        onion = self._current_onion(author, epoch)
        carried = self._carried()
        if onion is None:
            if carried.layer is not None:
                raise InvalidBlock("the block reveals a layer but its author has no onion in this epoch")
            self.skipped.mutate(author, lambda count: count + 1)
        else:
            self._accept_layer(author, onion, offset, carried.layer)
        if carried.next is not None:
            self._accept_commitment(author, epoch, carried.next, late=onion is None)
        return _ON_INITIALIZE_WEIGHT + _PEEL_WEIGHT * self.config.epoch_slots

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Read `onions`: a list of [address, tip as 0x-hex], the commitments for epoch 0."""
        read_mapping(genesis, at, required=(), optional=("onions",))
        authorities = self.aura.authorities()
        for index, entry in enumerate(read_list(genesis.get("onions", ()), at["onions"], maximum=len(authorities))):
            where = at["onions"][index]
            if len(read_list(entry, where)) != 2:
                raise GenesisError(where, "[address, tip]")
            account = read_account(entry[0], where[0])
            if account not in authorities or self.onions.contains(account):
                raise GenesisError(where[0], "an authority of Aura that is not listed before")
            self.onions.put(account, Onion(0, 0, read_bytes(entry[1], where[1], HASH_BYTES)))

    def try_state(self) -> None:
        """Kept reveals are consecutive and their slots rise."""
        count = self.reveal_count.get()
        kept = sorted(self.reveals.items())
        if [number for number, _ in kept] != list(range(max(count - self._kept_reveals(), 0), count)):
            raise InvariantBroken("Randomness.Reveals does not hold the latest reveals")
        slots = [reveal.slot for _, reveal in kept]
        if any(later <= earlier for earlier, later in pairwise(slots)):
            raise InvariantBroken("the slots in Randomness.Reveals do not rise")

    # How it works

    def _carried(self) -> OnionReveal:
        """Return what this block's digest carries."""
        item = carried_data(self.system.digest(), Consensus, ONION_ENGINE)
        if item is None:
            raise InvalidBlock("the digest carries no item of the randomness beacon")
        try:
            return REVEAL_CODEC.decode(item)
        except CodecError as error:
            raise InvalidBlock(f"the digest's item of the randomness beacon: {error}") from error

    def _epoch_and_offset(self, slot: int) -> tuple[int, int]:
        first = self.genesis_slot.get()
        return divmod(slot - (slot if first is None else first), self.config.epoch_slots)

    def _current_onion(self, author: bytes, epoch: int) -> Onion | None:
        onion = self.onions.get(author)
        if onion is not None and onion.epoch == epoch:
            return onion
        commitment = self.next_onions.get(author)
        if commitment is not None and commitment.epoch == epoch:
            return Onion(epoch, 0, commitment.tip)
        return None

    def _count_missed_slots(self, slot: int) -> None:
        """Count, for each authority, its slots between the last block's and this one's, without walking over them."""
        last = self.last_slot.get()
        self.last_slot.put(slot)
        if last is None or slot == last + 1:
            return
        authorities = self.aura.authorities()
        for turn, authority in enumerate(authorities):
            missed = (slot - 1 - turn) // len(authorities) - (last - turn) // len(authorities)
            if missed:
                self.skipped.mutate(authority, partial(add, missed))

    def _accept_layer(self, author: bytes, onion: Onion, offset: int, layer: bytes | None) -> None:
        if layer is None:
            raise InvalidBlock("the author has committed to an onion but the block reveals no layer")
        if peel(layer, offset + 1 - onion.peeled) != onion.value:
            raise InvalidBlock(f"the layer at offset {offset} of epoch {onion.epoch} is not of the author's onion")
        self.onions.put(author, Onion(onion.epoch, offset + 1, layer))
        number = self.reveal_count.get()
        self.reveals.put(number, Reveal(self.aura.current_slot(), layer))
        self.reveal_count.put(number + 1)
        if number >= self._kept_reveals():
            self.reveals.remove(number - self._kept_reveals())

    def _accept_commitment(self, author: bytes, epoch: int, commitment: OnionCommitment, *, late: bool) -> None:
        """Store the one commitment that may follow: for this epoch if the author has none (late), else for the next."""
        due = epoch if late else epoch + 1
        if commitment.epoch != due:
            raise InvalidBlock(f"the block commits to an onion for epoch {commitment.epoch}, only epoch {due} is due")
        if late:
            self.onions.put(author, Onion(epoch, 0, commitment.tip))
            return
        before = self.next_onions.get(author)
        if before is not None and before.epoch == due:
            raise InvalidBlock(f"the author has already committed to an onion for epoch {due}")
        self.next_onions.put(author, commitment)

    def _kept_reveals(self) -> int:
        return self.config.keep_rounds * len(self.aura.authorities())

    def _first_reveal_after(self, slot: int) -> int | None:
        """Return the number of the oldest kept reveal of a later slot, by bisection."""
        count = self.reveal_count.get()
        low, high = max(count - self._kept_reveals(), 0), count
        while low < high:
            middle = (low + high) // 2
            if self._reveal(middle).slot > slot:
                high = middle
            else:
                low = middle + 1
        return low if low < count else None

    def _reveal(self, number: int) -> Reveal:
        reveal = self.reveals.get(number)
        if reveal is None:
            raise InvariantBroken(f"reveal {number} is missing")
        return reveal
