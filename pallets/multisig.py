"""Multisig: an account that several accounts control together, so many of whom must agree (FRAME multisig).

The account has no key and no registration: its id is derived from the sorted signatories and the threshold. Approvals
of a call are collected under its hash; the last one that is needed brings the call and dispatches it. Whoever opens
an operation has a deposit held until it is executed or cancelled.
"""

from __future__ import annotations

import enum
from bisect import insort
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, ClassVar

from pallets.balances import Balances, HoldReason
from pallets.nested import Outcome, class_around, outcome_of
from pallets.system import System
from pallets.weights import heaviest
from pallets.weights import multisig as weights
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.errors import InvariantBroken, ModuleError, PalletError, ensure
from runtime.events import Event
from runtime.origin import Origin, Signed, ensure_signed
from runtime.pallet import Pallet, call, constant
from runtime.storage import BLAKE2_128_CONCAT, TWOX_64_CONCAT, StorageDoubleMap
from runtime.types import U16, U32, U128, AccountId, Bytes32, MaxLength, type_path
from runtime.weights import Pays, PostDispatchInfo, Weight

MOST_SIGNATORIES = 100
"""Signatories of one account; the constant MaxSignatories may be lower, never higher."""
_ACCOUNT_DOMAIN = b"modlpy/utilisuba"
_OPERATE_WEIGHT = heaviest(
    weights.AS_MULTI,
    weights.AS_MULTI_THRESHOLD_1,
    weights.APPROVE_AS_MULTI,
    weights.CANCEL_AS_MULTI,
    weights.POKE_DEPOSIT,
)
_SIGNATORY_WEIGHT = heaviest(
    weights.AS_MULTI_PER_SIGNATORY,
    weights.AS_MULTI_THRESHOLD_1_PER_SIGNATORY,
    weights.APPROVE_AS_MULTI_PER_SIGNATORY,
    weights.CANCEL_AS_MULTI_PER_SIGNATORY,
    weights.POKE_DEPOSIT_PER_SIGNATORY,
)

CallHash = Bytes32
Signatories = tuple[AccountId, ...]
_ACCOUNT_CODEC = codec_for(tuple[Signatories, U16])


class MultisigHold(enum.Enum):
    """Why this pallet holds a part of a balance."""

    OPERATION = "The deposit for an operation that waits for approvals."


@dataclass(frozen=True)
class MultisigReason(HoldReason, index=10, unnamed=True):
    """Held by the multisig pallet."""

    __scale_name__: ClassVar[str] = "Multisig"
    reason: MultisigHold


OPERATION = MultisigReason(MultisigHold.OPERATION)


@dataclass(frozen=True)
class MultisigConfig:
    """What a chain builder chooses about deposits of operations."""

    deposit_base: U128 = constant(20_000_000_000, "Held for an operation, in planck.")
    deposit_factor: U128 = constant(1_000_000_000, "Held besides for each approval that is needed, in planck.")
    max_signatories: U32 = constant(MOST_SIGNATORIES, "The most signatories of one account.")

    def __post_init__(self) -> None:
        """Refuse more signatories than the storage item has room for."""
        if not 2 <= self.max_signatories <= MOST_SIGNATORIES:
            raise ValueError(f"max_signatories must be 2 to {MOST_SIGNATORIES}")


@dataclass(frozen=True)
class Timepoint:
    """Which extrinsic of which block opened an operation."""

    height: U32
    index: U32


@dataclass(frozen=True)
class Operation:
    """A call that waits for approvals: when it was opened, the deposit (planck), by whom, who approved (sorted)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_multisig::Multisig")
    when: Timepoint
    deposit: U128
    depositor: AccountId
    approvals: Annotated[tuple[AccountId, ...], MaxLength(MOST_SIGNATORIES)]


class MultisigEvent(Event):
    """What became of an operation."""


@dataclass(frozen=True)
class NewMultisig(MultisigEvent):
    """A new multisig operation has begun."""

    approving: AccountId
    multisig: AccountId
    call_hash: CallHash


@dataclass(frozen=True)
class MultisigApproval(MultisigEvent):
    """A multisig operation has been approved by someone."""

    approving: AccountId
    timepoint: Timepoint
    multisig: AccountId
    call_hash: CallHash


@dataclass(frozen=True)
class MultisigExecuted(MultisigEvent):
    """A multisig operation has been executed."""

    approving: AccountId
    timepoint: Timepoint
    multisig: AccountId
    call_hash: CallHash
    result: Outcome


@dataclass(frozen=True)
class MultisigCancelled(MultisigEvent):
    """A multisig operation has been cancelled."""

    cancelling: AccountId
    timepoint: Timepoint
    multisig: AccountId
    call_hash: CallHash


@dataclass(frozen=True)
class DepositPoked(MultisigEvent):
    """The deposit for a multisig operation has been updated."""

    who: AccountId
    call_hash: CallHash
    old_deposit: U128
    new_deposit: U128


class MultisigError(PalletError):
    """Why a call of this pallet failed."""

    MINIMUM_THRESHOLD = "Threshold must be 2 or greater."
    ALREADY_APPROVED = "Call is already approved by this signatory."
    NO_APPROVALS_NEEDED = "Call doesn't need any (more) approvals."
    TOO_FEW_SIGNATORIES = "There are too few signatories in the list."
    TOO_MANY_SIGNATORIES = "There are too many signatories in the list."
    SIGNATORIES_OUT_OF_ORDER = "The signatories were provided out of order; they should be ordered."
    SENDER_IN_SIGNATORIES = "The sender was contained in the other signatories; it shouldn't be."
    NOT_FOUND = "Multisig operation not found in storage."
    NOT_OWNER = "Only the account that opened the operation may cancel it or update its deposit."
    NO_TIMEPOINT = "No timepoint was given, yet the multisig operation is already underway."
    WRONG_TIMEPOINT = "A different timepoint was given to the multisig operation that is underway."
    UNEXPECTED_TIMEPOINT = "A timepoint was given, yet no multisig operation is underway."
    MAX_WEIGHT_TOO_LOW = "The maximum weight information provided was too low."
    ALREADY_STORED = "The data to be stored is already stored."


def multi_account(signatories: Signatories, threshold: int) -> bytes:
    """Return the account of sorted signatories: BLAKE2b-256("modlpy/utilisuba", signatories, threshold as u16)."""
    return blake2_256(_ACCOUNT_DOMAIN + _ACCOUNT_CODEC.encode((signatories, threshold)))


def _own_weight(pallet: Multisig, other_signatories: Signatories, **_: object) -> Weight:
    return _OPERATE_WEIGHT + _SIGNATORY_WEIGHT * len(other_signatories)


def _operate_weight(pallet: Multisig, other_signatories: Signatories, max_weight: Weight, **_: object) -> Weight:
    return _own_weight(pallet, other_signatories) + max_weight


class Multisig(Pallet):
    """Accounts that several accounts control together."""

    name = "Multisig"
    index = 10
    Config = MultisigConfig
    Event = MultisigEvent
    Error = MultisigError
    config: MultisigConfig

    multisigs = StorageDoubleMap(
        (AccountId, TWOX_64_CONCAT), (CallHash, BLAKE2_128_CONCAT), Operation, docs="The set of open operations."
    )

    def __init__(self, config: MultisigConfig, *, system: System, balances: Balances) -> None:
        super().__init__(config)
        self.system = system
        self.balances = balances

    @call(weight=lambda pallet, other_signatories, call:
              _own_weight(pallet, other_signatories) + pallet.runtime.weight_of(call),
          dispatch_class=lambda pallet, other_signatories, call: class_around(pallet.runtime, call))
    def as_multi_threshold_1(
        self, origin: Origin, other_signatories: Signatories, call: RuntimeCall
    ) -> PostDispatchInfo:
        """Dispatch a call at once from an account of which any one signatory suffices."""
        who = ensure_signed(origin)
        account = multi_account(self._signatories(who, other_signatories), 1)
        result = self.runtime.dispatch(call, Signed(account))
        if result.error is not None:
            raise result.error
        return PostDispatchInfo(_own_weight(self, other_signatories) + result.actual_weight)

    @call(weight=_operate_weight)
    def as_multi(
        self,
        origin: Origin,
        threshold: U16,
        other_signatories: Signatories,
        maybe_timepoint: Timepoint | None,
        call: RuntimeCall,
        max_weight: Weight,
    ) -> PostDispatchInfo:
        """Approve a call, and dispatch it if no more approvals are needed; the first approval opens the operation."""
        who = ensure_signed(origin)
        account = self._account(who, threshold, other_signatories)
        call_hash = blake2_256(self.runtime.call_codec.encode(call))
        operation = self._underway(account, call_hash, maybe_timepoint)
        used = _own_weight(self, other_signatories)
        if operation is None:
            self._open(who, account, threshold, call_hash)
            return PostDispatchInfo(used)
        is_new = who not in operation.approvals
        if len(operation.approvals) + is_new < threshold:
            self._approve(who, account, threshold, call_hash, operation)
            return PostDispatchInfo(used)
        ensure(not self.runtime.weight_of(call).exceeds(max_weight), MultisigError.MAX_WEIGHT_TOO_LOW)
        self._close(account, call_hash, operation)
        result = self.runtime.dispatch(call, Signed(account))
        self.deposit_event(MultisigExecuted(who, operation.when, account, call_hash, outcome_of(result)))
        return PostDispatchInfo(used + result.actual_weight)

    @call(weight=_operate_weight)
    def approve_as_multi(
        self,
        origin: Origin,
        threshold: U16,
        other_signatories: Signatories,
        maybe_timepoint: Timepoint | None,
        call_hash: CallHash,
        max_weight: Weight,
    ) -> PostDispatchInfo:
        """Approve a call by its hash; the first approval opens the operation. The last one needs `as_multi`."""
        who = ensure_signed(origin)
        account = self._account(who, threshold, other_signatories)
        operation = self._underway(account, call_hash, maybe_timepoint)
        if operation is None:
            self._open(who, account, threshold, call_hash)
        else:
            self._approve(who, account, threshold, call_hash, operation)
        return PostDispatchInfo(_own_weight(self, other_signatories))

    @call(weight=_own_weight)
    def cancel_as_multi(
        self,
        origin: Origin,
        threshold: U16,
        other_signatories: Signatories,
        timepoint: Timepoint,
        call_hash: CallHash,
    ) -> None:
        """Cancel an operation and release its deposit; only who opened it may."""
        who = ensure_signed(origin)
        account = self._account(who, threshold, other_signatories)
        operation = self._own_operation(who, account, call_hash, timepoint)
        self._close(account, call_hash, operation)
        self.deposit_event(MultisigCancelled(who, timepoint, account, call_hash))

    @call(weight=_own_weight)
    def poke_deposit(
        self, origin: Origin, threshold: U16, other_signatories: Signatories, call_hash: CallHash
    ) -> PostDispatchInfo:
        """Bring the deposit of an operation to what it would be today; free of charge when it changes."""
        who = ensure_signed(origin)
        account = self._account(who, threshold, other_signatories)
        operation = self._own_operation(who, account, call_hash)
        deposit = self._deposit(threshold)
        if deposit == operation.deposit:
            return PostDispatchInfo()
        self.balances.hold(OPERATION, who, max(deposit - operation.deposit, 0))
        self.balances.release(OPERATION, who, max(operation.deposit - deposit, 0))
        self.multisigs.put(account, call_hash, replace(operation, deposit=deposit))
        self.deposit_event(DepositPoked(who, call_hash, operation.deposit, deposit))
        return PostDispatchInfo(pays_fee=Pays.NO)

    def try_state(self) -> None:
        """Deposits are held, approvals are sorted and never empty."""
        deposits: dict[bytes, int] = {}
        for _, operation in self.multisigs.items():
            deposits[operation.depositor] = deposits.get(operation.depositor, 0) + operation.deposit
            if not operation.approvals or any(later <= earlier for earlier, later in pairwise(operation.approvals)):
                raise InvariantBroken("the approvals of an operation in Multisig.Multisigs are empty or not sorted")
        holds = ((who, hold) for who, listed in self.balances.holds.items() for hold in listed)
        held = {who: hold.amount for who, hold in holds if hold.id == OPERATION}
        if held != {who: deposit for who, deposit in deposits.items() if deposit}:
            raise InvariantBroken("the deposits in Multisig.Multisigs are not what their depositors hold")

    # How it works

    def _signatories(self, who: bytes, others: Signatories) -> Signatories:
        """Return all signatories, sorted; the others must be, without the sender."""
        ensure(len(others) > 0, MultisigError.TOO_FEW_SIGNATORIES)
        ensure(len(others) < self.config.max_signatories, MultisigError.TOO_MANY_SIGNATORIES)
        ensure(all(earlier < later for earlier, later in pairwise(others)), MultisigError.SIGNATORIES_OUT_OF_ORDER)
        ensure(who not in others, MultisigError.SENDER_IN_SIGNATORIES)
        return tuple(sorted((who, *others)))

    def _account(self, who: bytes, threshold: int, others: Signatories) -> bytes:
        ensure(threshold >= 2, MultisigError.MINIMUM_THRESHOLD)
        return multi_account(self._signatories(who, others), threshold)

    def _deposit(self, threshold: int) -> int:
        return self.config.deposit_base + threshold * self.config.deposit_factor

    def _underway(self, account: bytes, call_hash: bytes, timepoint: Timepoint | None) -> Operation | None:
        """Return the operation that a timepoint names, None when there is none and none is named."""
        operation = self.multisigs.get(account, call_hash)
        if operation is None:
            ensure(timepoint is None, MultisigError.UNEXPECTED_TIMEPOINT)
        else:
            ensure(timepoint is not None, MultisigError.NO_TIMEPOINT)
            ensure(timepoint == operation.when, MultisigError.WRONG_TIMEPOINT)
        return operation

    def _own_operation(
        self, who: bytes, account: bytes, call_hash: bytes, timepoint: Timepoint | None = None
    ) -> Operation:
        operation = self.multisigs.get(account, call_hash)
        if operation is None:
            raise ModuleError(MultisigError.NOT_FOUND)
        ensure(timepoint in (None, operation.when), MultisigError.WRONG_TIMEPOINT)
        ensure(operation.depositor == who, MultisigError.NOT_OWNER)
        return operation

    def _open(self, who: bytes, account: bytes, threshold: int, call_hash: bytes) -> None:
        deposit = self._deposit(threshold)
        self.balances.hold(OPERATION, who, deposit)
        when = Timepoint(self.system.block_number(), self.system.extrinsic_index() or 0)
        self.multisigs.put(account, call_hash, Operation(when, deposit, who, (who,)))
        self.deposit_event(NewMultisig(who, account, call_hash))

    def _approve(self, who: bytes, account: bytes, threshold: int, call_hash: bytes, operation: Operation) -> None:
        approvals = list(operation.approvals)
        ensure(who not in approvals and len(approvals) < threshold, MultisigError.ALREADY_APPROVED)
        insort(approvals, who)
        self.multisigs.put(account, call_hash, replace(operation, approvals=tuple(approvals)))
        self.deposit_event(MultisigApproval(who, operation.when, account, call_hash))

    def _close(self, account: bytes, call_hash: bytes, operation: Operation) -> None:
        self.multisigs.remove(account, call_hash)
        self.balances.release(OPERATION, operation.depositor, operation.deposit)
