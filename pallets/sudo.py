"""Sudo: one account may act as root, until the chain removes the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pallets.nested import Outcome, outcome_of
from pallets.weights import heaviest
from pallets.weights import sudo as weights
from runtime.account import MultiAddress, lookup
from runtime.call import RuntimeCall
from runtime.errors import PalletError, ensure
from runtime.events import Event
from runtime.genesis_fields import GenesisPath, read_account, read_mapping
from runtime.origin import Origin, Root, Signed, ensure_signed
from runtime.pallet import Pallet, call
from runtime.storage import StorageValue
from runtime.types import AccountId
from runtime.weights import DispatchClass, Pays, PostDispatchInfo, Weight

_OVERHEAD = heaviest(weights.SUDO, weights.SUDO_AS)


class SudoEvent(Event):
    """What was done with the key."""


@dataclass(frozen=True)
class Sudid(SudoEvent):
    """A sudo call just took place."""

    sudo_result: Outcome


@dataclass(frozen=True)
class KeyChanged(SudoEvent):
    """The sudo key has been updated."""

    old: AccountId | None
    new: AccountId


@dataclass(frozen=True)
class KeyRemoved(SudoEvent):
    """The key was permanently removed."""


@dataclass(frozen=True)
class SudoAsDone(SudoEvent):
    """A sudo_as call just took place."""

    sudo_result: Outcome


class SudoError(PalletError):
    """Why a call of this pallet failed."""

    REQUIRE_SUDO = "Sender must be the Sudo account."


def _weight(pallet: Sudo, call: RuntimeCall, **_: object) -> Weight:
    return _OVERHEAD + pallet.runtime.weight_of(call)


def _class(pallet: Sudo, call: RuntimeCall, **_: object) -> DispatchClass:
    return pallet.runtime.class_of(call)


class Sudo(Pallet):
    """One account that may dispatch any call as root."""

    name = "Sudo"
    index = 7
    Event = SudoEvent
    Error = SudoError

    key = StorageValue(AccountId, docs="The account that may act as root.")

    @call(weight=_weight, dispatch_class=_class)
    def sudo(self, origin: Origin, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call as root."""
        self._ensure_key(origin)
        return self._run_as_root(call)

    @call(weight=lambda pallet, call, weight: weight, dispatch_class=_class)
    def sudo_unchecked_weight(self, origin: Origin, call: RuntimeCall, weight: Weight) -> PostDispatchInfo:
        """Dispatch a call as root, with a weight that the sender states instead of the call's own."""
        self._ensure_key(origin)
        return self._run_as_root(call)

    @call(weight=weights.SET_KEY)
    def set_key(self, origin: Origin, new: MultiAddress) -> PostDispatchInfo:
        """Make another account the sudo account."""
        self._ensure_key(origin)
        account = lookup(new)
        self.deposit_event(KeyChanged(self.key.get(), account))
        self.key.put(account)
        return PostDispatchInfo(pays_fee=Pays.NO)

    @call(weight=_weight, dispatch_class=_class)
    def sudo_as(self, origin: Origin, who: MultiAddress, call: RuntimeCall) -> PostDispatchInfo:
        """Dispatch a call as any account."""
        self._ensure_key(origin)
        result = self.runtime.dispatch(call, Signed(lookup(who)))
        self.deposit_event(SudoAsDone(outcome_of(result)))
        return PostDispatchInfo(_OVERHEAD + result.actual_weight, Pays.NO)

    @call(weight=weights.REMOVE_KEY)
    def remove_key(self, origin: Origin) -> PostDispatchInfo:
        """Remove the key for good: nobody can act as root any more."""
        self._ensure_key(origin)
        self.key.remove()
        self.deposit_event(KeyRemoved())
        return PostDispatchInfo(pays_fee=Pays.NO)

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Read `key`: the address of the sudo account; a chain without it has no sudo."""
        read_mapping(genesis, at, required=(), optional=("key",))
        if "key" in genesis:
            self.key.put(read_account(genesis["key"], at["key"]))

    def _ensure_key(self, origin: Origin) -> None:
        ensure(ensure_signed(origin) == self.key.get(), SudoError.REQUIRE_SUDO)

    def _run_as_root(self, call: RuntimeCall) -> PostDispatchInfo:
        result = self.runtime.dispatch(call, Root())
        self.deposit_event(Sudid(outcome_of(result)))
        return PostDispatchInfo(_OVERHEAD + result.actual_weight, Pays.NO)
