"""Whether an extrinsic may enter a block: the signed extensions, in their order, without changing anything, or what
the pallet of an unsigned call says.

The same checks serve the pool (`validate_transaction`) and the block (`BlockExecution.apply`); only there the nonce
must be exact and the fee is really taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime import limits
from runtime.account import lookup
from runtime.codec import codec_for
from runtime.construct import Runtime
from runtime.errors import CannotLookup, CodecError, InvalidTransaction, MalformedTransaction, Validity
from runtime.extrinsic import Extrinsic, MetadataHashMode, SignedPart, additional_bytes, signing_payload
from runtime.header import Digest, Header
from runtime.pallet import UnsignedValidity
from runtime.state import Overlay, StateView
from runtime.types import U32, AccountId
from runtime.weights import MANDATORY, DispatchInfo

ZERO_ACCOUNT = bytes(32)
NONCE_TAG_CODEC = codec_for(tuple[AccountId, U32])


@dataclass(frozen=True)
class TransactionValidity:
    """What the pool needs to know of a valid transaction (`sp_runtime::ValidTransaction`); longevity in blocks."""

    priority: int
    requires: tuple[bytes, ...]
    provides: tuple[bytes, ...]
    longevity: int
    propagate: bool
    sender: bytes | None
    """Who signed; None for an unsigned call, whose nonce and tip are 0."""
    nonce: int
    tip: int
    hash: bytes


@dataclass(frozen=True)
class CheckedTransaction:
    """A signed extrinsic whose sender and signature are known to be right."""

    extrinsic: Extrinsic
    signed: SignedPart
    sender: bytes
    info: DispatchInfo

    @property
    def length_bytes(self) -> int:
        """Length that is paid for: the whole extrinsic."""
        return len(self.extrinsic.encoded)


def decode_extrinsic(runtime: Runtime, data: bytes) -> Extrinsic:
    """Decode an extrinsic; raises MalformedTransaction with the place of the error, InvalidTransaction if too long."""
    if len(data) > limits.EXTRINSIC_LENGTH_BYTES:
        detail = f"an extrinsic has at most {limits.EXTRINSIC_LENGTH_BYTES} bytes, got {len(data)}"
        raise InvalidTransaction(Validity.EXHAUSTS_RESOURCES, detail)
    try:
        return runtime.extrinsic_codec.decode(data)
    except CodecError as error:
        raise MalformedTransaction(str(error)) from error


def check_signed(runtime: Runtime, extrinsic: Extrinsic) -> CheckedTransaction:
    """Check everything about a signed extrinsic but nonce, room and fee; raises InvalidTransaction.

    The bound state must be inside the block that would hold it: its number and its parent's hash are set.
    """
    signed = extrinsic.signed
    if signed is None:
        raise InvalidTransaction(Validity.CALL, f"{extrinsic.call.name} must be signed")
    try:
        sender = lookup(signed.address)
    except CannotLookup:
        raise InvalidTransaction(Validity.CANNOT_LOOKUP, "only addresses by account id are known") from None
    if sender == ZERO_ACCOUNT:
        raise InvalidTransaction(Validity.BAD_SIGNER)
    if signed.extra.metadata_hash_mode is not MetadataHashMode.DISABLED:
        # What Substrate says when the runtime was built without the hash.
        raise InvalidTransaction(Validity.CANNOT_LOOKUP, "CheckMetadataHash: only mode 0 (disabled) is accepted")
    number = runtime.system.block_number()
    era_hash = runtime.system.block_hash(signed.extra.era.birth(number))
    genesis_hash = runtime.system.block_hash(0)
    if era_hash is None or genesis_hash is None:
        raise InvalidTransaction(Validity.ANCIENT_BIRTH_BLOCK)
    additional = additional_bytes(runtime.version, genesis_hash, era_hash)
    message = signing_payload(extrinsic.call_bytes, signed.extra_bytes, additional)
    if not runtime.signatures.verify(signed.signature, message, sender):
        raise InvalidTransaction(Validity.BAD_PROOF)
    if not runtime.system.is_referenced(sender):
        raise InvalidTransaction(Validity.PAYMENT, "the sender's account does not exist")
    info = runtime.dispatch_info(extrinsic.call)
    if info.class_ is MANDATORY:
        raise InvalidTransaction(Validity.MANDATORY_VALIDATION)
    return CheckedTransaction(extrinsic, signed, sender, info)


def validate_transaction(runtime: Runtime, head: Header, view: StateView, data: bytes) -> TransactionValidity:
    """Tell the pool whether an extrinsic could enter a block on top of `head`, whose state is `view`.

    Raises InvalidTransaction. A nonce ahead of the account's is valid and `requires` the one before.
    """
    with runtime.bind(Overlay(view)):
        runtime.system.initialize(head.number + 1, head.hash, Digest())
        extrinsic = decode_extrinsic(runtime, data)
        if extrinsic.signed is None:
            return _unsigned_validity(runtime, extrinsic)
        checked = check_signed(runtime, extrinsic)
        extra = checked.signed.extra
        expected = runtime.system.nonce(checked.sender)
        if extra.nonce < expected:
            raise InvalidTransaction(Validity.STALE, f"nonce {extra.nonce}, the account's next is {expected}")
        runtime.system.check_limits(checked.info, checked.length_bytes)
        priority = 0
        if runtime.fees is not None:
            priority = runtime.fees.validate(checked.sender, checked.info, checked.length_bytes, extra.tip)
    requires = (nonce_tag(checked.sender, extra.nonce - 1),) if extra.nonce > expected else ()
    return TransactionValidity(
        priority=priority,
        requires=requires,
        provides=(nonce_tag(checked.sender, extra.nonce),),
        longevity=max(extra.era.death(head.number + 1) - head.number - 1, 0),
        propagate=True,
        sender=checked.sender,
        nonce=extra.nonce,
        tip=extra.tip,
        hash=checked.extrinsic.hash,
    )


def check_unsigned(runtime: Runtime, extrinsic: Extrinsic) -> tuple[DispatchInfo, UnsignedValidity]:
    """Check an extrinsic without a signature, whose pallet must vouch for it; raises InvalidTransaction."""
    call = extrinsic.call
    info = runtime.dispatch_info(call)
    if info.class_ is MANDATORY:
        raise InvalidTransaction(Validity.MANDATORY_VALIDATION, f"{call.name} is made by authors of blocks only")
    validity = runtime.pallet(call.pallet).validate_unsigned(call)
    runtime.system.check_limits(info, len(extrinsic.encoded))
    return info, validity


def _unsigned_validity(runtime: Runtime, extrinsic: Extrinsic) -> TransactionValidity:
    _, validity = check_unsigned(runtime, extrinsic)
    return TransactionValidity(
        priority=validity.priority,
        requires=validity.requires,
        provides=validity.provides,
        longevity=validity.longevity,
        propagate=validity.propagate,
        sender=None,
        nonce=0,
        tip=0,
        hash=extrinsic.hash,
    )


def nonce_tag(account: bytes, nonce: int) -> bytes:
    """Return the pool's tag for an account's transaction of a nonce."""
    return NONCE_TAG_CODEC.encode((account, nonce))
