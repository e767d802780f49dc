"""Aura from outside of the state transition: slots, seals, and the authors who sealed two blocks for one slot.

Time is cut into slots of equal length; slot s belongs to authority s mod n. A header names its slot in its first `aura`
pre-runtime item and carries, as its last item, the author's signature over the BLAKE2b-256 of the header without it.
Source: Substrate, sc-consensus-aura (import queue) and sc-consensus-slots (equivocation check).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.crypto import blake2_256
from runtime.header import Header, PreRuntime, Seal

AURA_ENGINE: Final = b"aura"
SLOT_BYTES: Final = 8
SEAL_BYTES: Final = 64

MAX_SLOTS_AHEAD: Final = 1
"""Slots by which another node's clock may be ahead of ours."""

EQUIVOCATION_SLOTS: Final = 1_000
"""Slots for which authored headers are remembered."""

FRESH_SLOTS: Final = 8
MAX_FRESH_HEADERS: Final = 4
MAX_HEADERS: Final = 64
"""Headers of one author and slot that are accepted while the slot is one of the last FRESH_SLOTS, and in all.

An author that signs more must not fill our memory; but the one that the other authorities built on must get in later.
"""

VerifySeal = Callable[[bytes, bytes, bytes], bool]
"""(authority, message, signature) -> whether the authority signed the message."""


class HeaderRejected(Exception):
    """The header breaks a rule; its block is not executed."""


class BadDigest(HeaderRejected):
    """The digest lacks the slot or the seal, or has them in the wrong shape or place."""


class BadSeal(HeaderRejected):
    """The seal is not the signature of the authority whose slot it is."""


class BadPlace(HeaderRejected):
    """Number or slot do not follow those of the parent."""


class SlotInFuture(HeaderRejected):
    """The slot has not come yet. Temporary: the same block may be accepted later."""


class TooManyEquivocations(HeaderRejected):
    """The author has already sealed as many blocks for this slot as are looked at now. Temporary."""


@dataclass(frozen=True, slots=True)
class Authored:
    """What a checked header says: whose it is, and for which slot."""

    slot: int
    author: bytes


@dataclass(frozen=True, slots=True)
class Equivocation:
    """The proof that an authority sealed two blocks for one slot."""

    slot: int
    author: bytes
    first: Header
    second: Header


def slot_at(now_ms: int, slot_duration_ms: int) -> int:
    """The slot of a moment (Unix time in milliseconds)."""
    return now_ms // slot_duration_ms


def slot_start_ms(slot: int, slot_duration_ms: int) -> int:
    """The moment when a slot begins."""
    return slot * slot_duration_ms


def author_of_slot(slot: int, authorities: Sequence[bytes]) -> bytes:
    """The authority whose turn the slot is. ValueError if there are none."""
    if not authorities:
        raise ValueError("the chain has no authorities, so no slot has an author")
    return authorities[slot % len(authorities)]


def slot_item(slot: int) -> PreRuntime:
    """The digest item that names the slot of a block."""
    return PreRuntime(AURA_ENGINE, slot.to_bytes(SLOT_BYTES, "little"))


def seal_item(signature: bytes) -> Seal:
    """The digest item that seals a header."""
    return Seal(AURA_ENGINE, signature)


def seal_message(header: Header) -> bytes:
    """What the author signs: BLAKE2b-256 of the header without its seal."""
    return blake2_256(header.without_seal().encode())


def slot_of(header: Header) -> int:
    """The slot that a header names. Raises BadDigest unless exactly one item names it."""
    found = [item.data for item in header.digest if isinstance(item, PreRuntime) and item.engine == AURA_ENGINE]
    if len(found) != 1 or len(found[0]) != SLOT_BYTES:
        raise BadDigest(
            f"block {header.number} has {len(found)} slots in its digest instead of one of {SLOT_BYTES} bytes"
        )
    return int.from_bytes(found[0], "little")


def check_header(
    header: Header, parent: Header, authorities: Sequence[bytes], current_slot: int, verify: VerifySeal
) -> Authored:
    """Check everything about a header that can be known before its block is executed.

    `authorities` are those in the parent's state, `current_slot` is ours. Raises a HeaderRejected that names the rule.
    """
    if header.parent_hash != parent.hash or header.number != parent.number + 1:
        raise BadPlace(f"block {header.number} does not follow block {parent.number}")
    slot = slot_of(header)
    if slot > current_slot + MAX_SLOTS_AHEAD:
        raise SlotInFuture(f"block {header.number} is of slot {slot}, but now is slot {current_slot}")
    if parent.number > 0 and slot <= slot_of(parent):
        raise BadPlace(f"block {header.number} has slot {slot}, which is not after its parent's slot {slot_of(parent)}")
    seals = [item for item in header.digest if isinstance(item, Seal)]
    seal = header.digest[-1]
    if len(seals) != 1 or not isinstance(seal, Seal) or seal.engine != AURA_ENGINE or len(seal.data) != SEAL_BYTES:
        raise BadDigest(f"block {header.number} does not end with exactly one aura seal of {SEAL_BYTES} bytes")
    if not authorities:
        raise BadSeal(f"block {header.number} stands on a state without authorities")
    author = author_of_slot(slot, authorities)
    if not verify(author, seal_message(header), seal.data):
        raise BadSeal(f"block {header.number} is not sealed by authority 0x{author.hex()}, whose slot {slot} it uses")
    return Authored(slot, author)


class EquivocationWatch:
    """Remembers which headers each author sealed for which of the last slots. Bounded by slots and headers a slot."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[bytes, list[Header]]] = {}

    def check(self, authored: Authored, header: Header, current_slot: int) -> Equivocation | None:
        """Note a header with a checked seal; the proof if the author has sealed another one for this slot.

        Raises TooManyEquivocations instead of remembering more than its bounds allow.
        """
        oldest = current_slot - EQUIVOCATION_SLOTS
        if authored.slot < oldest:
            return None
        self._forget_before(oldest)
        headers = self._seen.setdefault(authored.slot, {}).setdefault(authored.author, [])
        if any(known.hash == header.hash for known in headers):
            return None
        most = MAX_FRESH_HEADERS if authored.slot > current_slot - FRESH_SLOTS else MAX_HEADERS
        if len(headers) >= most:
            raise TooManyEquivocations(
                f"author 0x{authored.author.hex()} sealed over {most} blocks in slot {authored.slot}"
            )
        headers.append(header)
        if len(headers) == 1:
            return None
        return Equivocation(authored.slot, authored.author, headers[0], header)

    def _forget_before(self, oldest: int) -> None:
        if len(self._seen) <= EQUIVOCATION_SLOTS + MAX_SLOTS_AHEAD:
            return
        for slot in [slot for slot in self._seen if slot < oldest]:
            del self._seen[slot]
