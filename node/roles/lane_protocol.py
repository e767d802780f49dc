"""What encoder, attestor and hoster say to each other about one lane: frames, and the receiving half as a machine.

    sender                      receiver                    sender: encoder or attestor; receiver: attestor or hoster
    hello           ->
                    <-          hello
    offer           ->                                      which lane, its public key, the signed head of the feed
    chunk 0 … n-1   ->                                      sealed bytes and the block's proof against the feed's head
    sealed          ->                                      the encoder's signature under the commitment
                    <-          stored                      the hoster's signature; an attestor answers with bye only
                    <-          bye

Either side may send `fault` with a code at any time, which ends the stream. A frame is a CBOR sequence of two items:
its number, and a canonical map of its fields. libp2p has proven the peer's noise key before the first frame.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from hypercore.errors import HypercoreError
from hypercore.proof import decode_block_proof, decode_head_proof, verify_block, verify_head_proof
from node.net.cbor import InvalidMessage, bounded_bytes, choice, decode, encode, fixed_bytes, unsigned
from node.roles import limits
from node.roles.identity import is_commitment_signed
from node.roles.market_view import LaneTerms
from pallets.datdot.sealing import (
    Lane,
    LaneCommitment,
    LaneKey,
    LaneTreeBuilder,
    SealingError,
    check_key,
    max_sealed_bytes,
)

PROTOCOL_NAME: Final = "datdot/lane"
VERSION: Final = 1
SCHEME: Final = "rsa-shake256-brotli/1"
SEALED_MAX_BYTES: Final = max(max_sealed_bytes(1_024), max_sealed_bytes(2_048))
MODULUS_MAX_BYTES: Final = 256


def lane_protocol(genesis_hash: bytes) -> str:
    """The libp2p protocol id on the chain with this genesis."""
    return f"/{genesis_hash[:8].hex()}/{PROTOCOL_NAME}/{VERSION}"


class FaultCode(enum.StrEnum):
    """Why a lane stream was ended before its time."""

    BAD_FRAME = "bad_frame"
    WRONG_CHAIN = "wrong_chain"
    NOT_ASSIGNED = "not_assigned"
    BUSY = "busy"
    BAD_OFFER = "bad_offer"
    BAD_CHUNK = "bad_chunk"
    BAD_COMMITMENT = "bad_commitment"
    BAD_SIGNATURE = "bad_signature"
    QUOTA_FULL = "quota_full"
    DISK_FULL = "disk_full"
    HOSTER_FAILED = "hoster_failed"
    OVER = "over"
    INTERNAL = "internal"


class LaneFault(Exception):
    """The other side broke a rule of the lane, or we refuse it; `code` is what it is told."""

    def __init__(self, code: FaultCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


class RemoteFault(Exception):
    """The other side ended the stream with this code."""

    def __init__(self, code: FaultCode) -> None:
        super().__init__(f"the peer says {code.value}")
        self.code = code


# --- frames -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """The first frame in each direction: who speaks, on which chain, and how far it has followed that chain."""

    version: int = unsigned(16)
    genesis: bytes = fixed_bytes(32)
    user: int = unsigned(64)
    height: int = unsigned(32)


@dataclass(frozen=True)
class Offer:
    """The lane that follows: place, number of chunks, sealing scheme, modulus, and the feed's encoded head proof."""

    amendment: int = unsigned(64)
    position: int = unsigned(8)
    chunk_count: int = unsigned(16)
    scheme: str = choice(SCHEME)
    modulus: bytes = bounded_bytes(MODULUS_MAX_BYTES)
    head_proof: bytes = bounded_bytes(limits.HEAD_PROOF_MAX_BYTES)


@dataclass(frozen=True)
class Chunk:
    """Sealed chunk `number` (from 0) of the contract, and the encoded proof of its content against the feed's head."""

    number: int = unsigned(16)
    sealed: bytes = bounded_bytes(SEALED_MAX_BYTES)
    proof: bytes = bounded_bytes(limits.BLOCK_PROOF_MAX_BYTES)


@dataclass(frozen=True)
class Sealed:
    """The end of the lane: its commitment and the encoder's signature."""

    root: bytes = fixed_bytes(32)
    leaf_count: int = unsigned(32)
    total_bytes: int = unsigned(64)
    key_hash: bytes = fixed_bytes(32)
    encoder_signature: bytes = fixed_bytes(64)

    def commitment(self) -> LaneCommitment:
        """The commitment; raises SealingError when its counts contradict each other."""
        return LaneCommitment(self.root, self.leaf_count, self.total_bytes, self.key_hash)

    @classmethod
    def of(cls, commitment: LaneCommitment, encoder_signature: bytes) -> Sealed:
        """The frame for a signed commitment."""
        numbers = (commitment.leaf_count, commitment.total_bytes)
        return cls(commitment.root, *numbers, commitment.key_hash, encoder_signature)


@dataclass(frozen=True)
class Stored:
    """The lane is on the hoster's disk: its signature under the same commitment."""

    hoster_signature: bytes = fixed_bytes(64)


@dataclass(frozen=True)
class Fault:
    """The sender gives up for this reason."""

    code: str = choice(*(code.value for code in FaultCode))


@dataclass(frozen=True)
class Bye:
    """Everything was done."""


Frame = Hello | Offer | Chunk | Sealed | Stored | Fault | Bye
FRAME_TYPES: Final[tuple[type[Frame], ...]] = (Hello, Offer, Chunk, Sealed, Stored, Fault, Bye)


def encode_frame(frame: Frame) -> bytes:
    """Frame number (one byte, which is a CBOR integer) and canonical map."""
    return bytes([FRAME_TYPES.index(type(frame))]) + encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Read one frame strictly; raises LaneFault(BAD_FRAME)."""
    if not data or data[0] >= len(FRAME_TYPES):
        raise LaneFault(FaultCode.BAD_FRAME, "a frame of unknown kind")
    frame_type: type[Frame] = FRAME_TYPES[data[0]]
    try:
        return decode(frame_type, data[1:])
    except InvalidMessage as error:
        raise LaneFault(FaultCode.BAD_FRAME, str(error)) from error


# --- receiving ----------------------------------------------------------------------------------------------------


class LaneIntake:
    """Checks the frames of one lane in their order; a receiver passes each frame before it uses it.

    `take_offer`, then for each chunk `expect_chunk` and, once it was opened, `accept_chunk`, at the end `take_sealed`.
    Every method raises LaneFault.
    """

    def __init__(self, terms: LaneTerms) -> None:
        self.terms = terms
        self.lane: Lane | None = None
        self._builder = LaneTreeBuilder(terms.amendment, terms.position)
        self._next_chunk = 0

    @property
    def is_whole(self) -> bool:
        """True when every chunk of the contract was accepted."""
        return self._next_chunk == len(self.terms.chunks)

    def take_offer(self, offer: Offer) -> Lane:
        """The lane under the offered key, if place, counts, key and head are those of the chain."""
        terms = self.terms
        if (offer.amendment, offer.position) != (terms.amendment, terms.position):
            raise LaneFault(FaultCode.BAD_OFFER, f"lane {offer.amendment}/{offer.position} instead of {terms}")
        if offer.chunk_count != len(terms.chunks):
            raise LaneFault(FaultCode.BAD_OFFER, f"{offer.chunk_count} chunks instead of {len(terms.chunks)}")
        try:
            key = LaneKey.from_bytes(offer.modulus, terms.seal_key_bits)
            check_key(key, terms.seal_key_bits)
            head = verify_head_proof(terms.feed_key, decode_head_proof(offer.head_proof))
        except (SealingError, HypercoreError) as error:
            raise LaneFault(FaultCode.BAD_OFFER, str(error)) from error
        if head != terms.head:
            raise LaneFault(FaultCode.BAD_OFFER, f"a head of {head.length} blocks that is not the one on the chain")
        self.lane = Lane(terms.genesis, terms.amendment, terms.position, key)
        return self.lane

    def expect_chunk(self, chunk: Chunk) -> int:
        """The feed's number of the chunk that a frame must hold next."""
        if self.lane is None or self.is_whole or chunk.number != self._next_chunk:
            raise LaneFault(FaultCode.BAD_CHUNK, f"chunk {chunk.number}, expected {self._next_chunk}")
        if not 0 < len(chunk.sealed) <= max_sealed_bytes(self.terms.seal_key_bits):
            raise LaneFault(FaultCode.BAD_CHUNK, f"{len(chunk.sealed)} bytes are no sealed chunk")
        return self.terms.chunks[chunk.number]

    def accept_chunk(self, chunk: Chunk, opened: bytes) -> None:
        """Take in a chunk whose content is `opened`, if that is the feed's block."""
        try:
            verify_block(self.terms.head, self.expect_chunk(chunk), opened, decode_block_proof(chunk.proof))
            self._builder.update(chunk.sealed)
        except (HypercoreError, SealingError) as error:
            raise LaneFault(FaultCode.BAD_CHUNK, f"chunk {chunk.number}: {error}") from error
        self._next_chunk += 1

    def take_sealed(self, sealed: Sealed, encoder_signing_key: bytes) -> LaneCommitment:
        """The commitment, if it is that of the received bytes and the encoder signed it."""
        if self.lane is None or not self.is_whole:
            raise LaneFault(FaultCode.BAD_COMMITMENT, f"the lane ends after {self._next_chunk} chunks")
        commitment = self._builder.finish().commitment(self.lane.key)
        try:
            claimed = sealed.commitment()
        except SealingError as error:
            raise LaneFault(FaultCode.BAD_COMMITMENT, str(error)) from error
        if claimed != commitment:
            raise LaneFault(FaultCode.BAD_COMMITMENT, "the commitment is not that of the received bytes")
        terms, signature = self.terms, sealed.encoder_signature
        place = (terms.genesis, terms.contract, terms.amendment, terms.position)
        if not is_commitment_signed(encoder_signing_key, signature, *place, commitment):
            raise LaneFault(FaultCode.BAD_SIGNATURE, "the encoder did not sign the commitment")
        return commitment
