"""Events and errors of the balances pallet, named as FRAME names them."""

from __future__ import annotations

from dataclasses import dataclass

from pallets.balances.types import HoldReason
from runtime.errors import PalletError
from runtime.events import Event
from runtime.types import U128, AccountId


class BalancesEvent(Event):
    """What happened to a balance."""


@dataclass(frozen=True)
class Endowed(BalancesEvent):
    """An account was created with some free balance."""

    account: AccountId
    free_balance: U128


@dataclass(frozen=True)
class DustLost(BalancesEvent):
    """An amount below the existential deposit could not stay on an account and went to the treasury."""

    account: AccountId
    amount: U128


@dataclass(frozen=True)
class Transfer(BalancesEvent):
    """Transfer succeeded."""

    from_: AccountId
    to: AccountId
    amount: U128


@dataclass(frozen=True)
class BalanceSet(BalancesEvent):
    """A balance was set by root."""

    who: AccountId
    free: U128


@dataclass(frozen=True)
class Deposit(BalancesEvent):
    """Some amount was deposited, e.g. for transaction fees."""

    who: AccountId
    amount: U128


@dataclass(frozen=True)
class Withdraw(BalancesEvent):
    """Some amount was withdrawn from the account, e.g. for transaction fees."""

    who: AccountId
    amount: U128


@dataclass(frozen=True)
class Held(BalancesEvent):
    """Some balance was put on hold; it still belongs to the account, which cannot spend it."""

    reason: HoldReason
    who: AccountId
    amount: U128


@dataclass(frozen=True)
class TransferOnHold(BalancesEvent):
    """Held balance of one account became free balance of another."""

    reason: HoldReason
    source: AccountId
    dest: AccountId
    amount: U128


@dataclass(frozen=True)
class Released(BalancesEvent):
    """Some balance was released from hold and is free again."""

    reason: HoldReason
    who: AccountId
    amount: U128


class BalancesError(PalletError):
    """Why an operation of the balances pallet failed, beyond the runtime's token errors."""

    INSUFFICIENT_BALANCE = "Balance too low to send value."
    ISSUANCE_DEACTIVATED = "The treasury is the counterpart of every balance that is set, its own cannot be."
    TOO_MANY_HOLDS = "Number of holds exceeds `VariantCountOf<RuntimeHoldReason>`."
