"""The balances pallet: free and held balances, transfers, and the rule that total issuance never changes.

An account exists while its free balance reaches the existential deposit; the balance is then its one provider
reference. What it holds counts as one consumer reference, and an account with consumers keeps the existential deposit
free. Amounts that cannot stay on an account (dust) go to the treasury.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pallets.balances.config import MAX_HOLDS, MAX_LOCKS, MAX_RESERVES, BalancesConfig
from pallets.balances.events import (
    BalancesError,
    BalanceSet,
    BalancesEvent,
    Deposit,
    DustLost,
    Endowed,
    Held,
    Released,
    Transfer,
    TransferOnHold,
    Withdraw,
)
from pallets.balances.types import BalanceLock, Hold, HoldReason, ReserveData
from pallets.system import System
from pallets.weights import balances as weights
from runtime.account import AccountData, MultiAddress, lookup
from runtime.errors import InvariantBroken, TokenError, TokenErrorKind, ensure
from runtime.genesis_fields import GenesisError, GenesisPath, read_account, read_integer, read_list, read_mapping
from runtime.origin import Origin, ensure_root, ensure_signed
from runtime.pallet import Pallet, call
from runtime.storage import BLAKE2_128_CONCAT, StorageMap, StorageValue
from runtime.types import U128, AccountId, Bool, CompactU128, MaxLength


class Balances(Pallet):
    """Free and held balances of accounts, and transfers between them."""

    name = "Balances"
    index = 5
    Config = BalancesConfig
    Event = BalancesEvent
    Error = BalancesError
    config: BalancesConfig

    total_issuance = StorageValue(U128, default=0, docs="The sum of all balances, in planck; fixed at genesis.")
    account = StorageMap(
        AccountId, AccountData, hasher=BLAKE2_128_CONCAT, default=AccountData(),
        docs="Unused: balances are kept in System.Account.",
    )
    locks = StorageMap(
        AccountId, Annotated[tuple[BalanceLock, ...], MaxLength(MAX_LOCKS)], hasher=BLAKE2_128_CONCAT, default=(),
        docs="Unused: this chain holds by reason.",
    )
    reserves = StorageMap(
        AccountId, Annotated[tuple[ReserveData, ...], MaxLength(MAX_RESERVES)], hasher=BLAKE2_128_CONCAT, default=(),
        docs="Unused: this chain holds by reason.",
    )
    holds = StorageMap(
        AccountId, Annotated[tuple[Hold, ...], MaxLength(MAX_HOLDS)], hasher=BLAKE2_128_CONCAT, default=(),
        docs="What an account holds, by reason, in planck.",
    )

    def __init__(self, config: BalancesConfig, *, system: System) -> None:
        super().__init__(config)
        self.system = system

    @property
    def treasury(self) -> bytes:
        """The account that receives dust and protocol fees."""
        return self.config.treasury

    # What other pallets call

    def free(self, who: bytes) -> int:
        """Return the free balance of an account, in planck; 0 when it does not exist."""
        return self.system.account_data(who).free

    def held(self, reason: HoldReason, who: bytes) -> int:
        """Return what an account holds for one reason, in planck."""
        return next((hold.amount for hold in self.holds.get(who) if hold.id == reason), 0)

    def reducible(self, who: bytes, *, keep_alive: bool) -> int:
        """Return how much of the free balance may leave, in planck.

        The existential deposit stays when the account is to survive, when something depends on it, and in the treasury.
        """
        info = self.system.account.get(who)
        if keep_alive or info.consumers > 0 or who == self.treasury:
            return max(info.data.free - self.config.existential_deposit, 0)
        return info.data.free

    def transfer(self, source: bytes, dest: bytes, amount: int, keep_alive: bool = True) -> None:
        """Move free balance; without `keep_alive` the source may be emptied and disappear.

        Raises TokenError: FundsUnavailable, NotExpendable (the source would die but must not), BelowMinimum (the
        amount is too small to open the account `dest`).
        """
        self._ensure_reducible(source, amount, keep_alive=keep_alive)
        if not self._can_hold_free(dest, amount):
            raise TokenError(TokenErrorKind.BELOW_MINIMUM)
        if source != dest:
            self._add(source, -amount)
            self._add(dest, amount)
        self.deposit_event(Transfer(source, dest, amount))

    def hold(self, reason: HoldReason, who: bytes, amount: int) -> None:
        """Put free balance on hold; the existential deposit stays free. Raises TokenError FundsUnavailable."""
        if amount > self.reducible(who, keep_alive=True):
            raise TokenError(TokenErrorKind.FUNDS_UNAVAILABLE)
        if amount == 0:
            return
        self._set_hold(reason, who, self.held(reason, who) + amount)
        data = self.system.account_data(who)
        self._set_balance(who, data.free - amount, data.reserved + amount)
        self.deposit_event(Held(reason, who, amount))

    def release(self, reason: HoldReason, who: bytes, amount: int) -> None:
        """Make held balance free again. Raises TokenError FundsUnavailable when less is held for this reason."""
        if amount == 0:
            return
        self._take_held(reason, who, amount)
        self._add(who, amount)
        self.deposit_event(Released(reason, who, amount))

    def transfer_held(self, reason: HoldReason, source: bytes, dest: bytes, amount: int) -> None:
        """Move held balance of `source` into the free balance of `dest`; what cannot open `dest` goes to the treasury.

        Raises TokenError FundsUnavailable when less is held for this reason.
        """
        if amount == 0:
            return
        self._take_held(reason, source, amount)
        if self._credit(dest, amount):
            self.deposit_event(TransferOnHold(reason, source, dest, amount))

    def withdraw_fee(self, who: bytes, amount: int) -> None:
        """Take a fee out of circulation until `deposit_fee` pays the same amount out, within the same extrinsic.

        Raises TokenError when the account cannot pay and stay alive.
        """
        self._ensure_reducible(who, amount, keep_alive=True)
        if amount:
            self._add(who, -amount)
            self.deposit_event(Withdraw(who, amount))

    def deposit_fee(self, who: bytes, amount: int) -> None:
        """Pay out (a part of) a withdrawn fee; what cannot open the account goes to the treasury."""
        if amount and self._credit(who, amount):
            self.deposit_event(Deposit(who, amount))

    # Calls

    @call(weight=weights.TRANSFER_ALLOW_DEATH)
    def transfer_allow_death(self, origin: Origin, dest: MultiAddress, value: CompactU128) -> None:
        """Transfer some free balance to another account; the sender's account may disappear."""
        self.transfer(ensure_signed(origin), lookup(dest), value, keep_alive=False)

    @call(weight=weights.FORCE_TRANSFER)
    def force_transfer(self, origin: Origin, source: MultiAddress, dest: MultiAddress, value: CompactU128) -> None:
        """Transfer between any two accounts, as root."""
        ensure_root(origin)
        self.transfer(lookup(source), lookup(dest), value, keep_alive=False)

    @call(weight=weights.TRANSFER_KEEP_ALIVE)
    def transfer_keep_alive(self, origin: Origin, dest: MultiAddress, value: CompactU128) -> None:
        """Transfer some free balance to another account, unless the sender's account would disappear."""
        self.transfer(ensure_signed(origin), lookup(dest), value, keep_alive=True)

    @call(weight=weights.TRANSFER_ALL)
    def transfer_all(self, origin: Origin, dest: MultiAddress, keep_alive: Bool) -> None:
        """Transfer everything that may leave; with `keep_alive` the existential deposit stays."""
        source = ensure_signed(origin)
        self.transfer(source, lookup(dest), self.reducible(source, keep_alive=keep_alive), keep_alive=keep_alive)

    @call(weight=weights.FORCE_SET_BALANCE)
    def force_set_balance(self, origin: Origin, who: MultiAddress, new_free: CompactU128) -> None:
        """Set the free balance of an account, as root; the difference comes from or goes to the treasury."""
        ensure_root(origin)
        account = lookup(who)
        ensure(account != self.treasury, BalancesError.ISSUANCE_DEACTIVATED)
        target = new_free if new_free >= self.config.existential_deposit else 0
        data = self.system.account_data(account)
        missing = target - data.free
        ensure(missing <= self.reducible(self.treasury, keep_alive=True), BalancesError.INSUFFICIENT_BALANCE)
        self._set_balance(account, target, data.reserved)
        self._add(self.treasury, -missing)
        self.deposit_event(BalanceSet(account, target))

    # Genesis and invariants

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Read `balances`: a list of [address, planck]. An unlisted treasury gets the existential deposit."""
        read_mapping(genesis, at, required=(), optional=("balances",))
        minimum = self.config.existential_deposit
        amounts: dict[bytes, int] = {}
        for index, entry in enumerate(read_list(genesis.get("balances", ()), at["balances"])):
            where = at["balances"][index]
            if len(read_list(entry, where)) != 2:
                raise GenesisError(where, "[address, planck]")
            account = read_account(entry[0], where[0])
            if account in amounts:
                raise GenesisError(where[0], "an address that is not listed before")
            amounts[account] = read_integer(entry[1], where[1], minimum)
        amounts.setdefault(self.treasury, minimum)
        if sum(amounts.values()) >= 2**128:
            raise GenesisError(at["balances"], "a total issuance below 2^128")
        for account, amount in amounts.items():
            self._set_balance(account, amount, 0)
        self.total_issuance.put(sum(amounts.values()))

    def try_state(self) -> None:
        """Issuance is the sum of all balances; what is reserved is held by reason; what exists can exist."""
        minimum = self.config.existential_deposit
        total = 0
        for who, info in self.system.account.items():
            data = info.data
            total += data.free + data.reserved
            held = sum(hold.amount for hold in self.holds.get(who))
            if data.reserved != held:
                raise InvariantBroken(f"{who.hex()} has {data.reserved} planck reserved but holds {held} by reason")
            if 0 < data.free < minimum or (info.providers + info.sufficients == 0):
                raise InvariantBroken(f"{who.hex()} exists with {data.free} planck, less than the existential deposit")
            if data.reserved and not info.consumers:
                raise InvariantBroken(f"{who.hex()} holds {data.reserved} planck without a consumer reference")
        for who, _ in self.holds.items():
            if not self.system.account.contains(who):
                raise InvariantBroken(f"{who.hex()} holds a balance but does not exist")
        if total != self.total_issuance.get():
            raise InvariantBroken(f"the balances sum up to {total}, total issuance is {self.total_issuance.get()}")
        if self.free(self.treasury) < minimum:
            raise InvariantBroken("the treasury does not exist")

    # The ledger: the only code that changes a balance

    def _ensure_reducible(self, who: bytes, amount: int, *, keep_alive: bool) -> None:
        if amount > self.free(who):
            raise TokenError(TokenErrorKind.FUNDS_UNAVAILABLE)
        if amount > self.reducible(who, keep_alive=keep_alive):
            raise TokenError(TokenErrorKind.NOT_EXPENDABLE)

    def _can_hold_free(self, who: bytes, amount: int) -> bool:
        """Say whether adding an amount leaves the account without dust."""
        return amount == 0 or self.free(who) + amount >= self.config.existential_deposit

    def _credit(self, who: bytes, amount: int) -> bool:
        """Add to an account, or to the treasury when the account cannot exist with it; say which."""
        if self._can_hold_free(who, amount):
            self._add(who, amount)
            return True
        self._sweep(who, amount)
        return False

    def _sweep(self, who: bytes, dust: int) -> None:
        self.deposit_event(DustLost(who, dust))
        self._add(self.treasury, dust)

    def _add(self, who: bytes, amount: int) -> None:
        data = self.system.account_data(who)
        self._set_balance(who, data.free + amount, data.reserved)

    def _take_held(self, reason: HoldReason, who: bytes, amount: int) -> None:
        """Remove from a hold without adding anywhere."""
        held = self.held(reason, who)
        if amount > held:
            raise TokenError(TokenErrorKind.FUNDS_UNAVAILABLE)
        self._set_hold(reason, who, held - amount)
        data = self.system.account_data(who)
        self._set_balance(who, data.free, data.reserved - amount)

    def _set_hold(self, reason: HoldReason, who: bytes, amount: int) -> None:
        others = tuple(hold for hold in self.holds.get(who) if hold.id != reason)
        holds = (*others, Hold(reason, amount)) if amount else others
        ensure(len(holds) <= MAX_HOLDS, BalancesError.TOO_MANY_HOLDS)
        if holds:
            self.holds.put(who, holds)
        else:
            self.holds.remove(who)

    def _set_balance(self, who: bytes, free: int, reserved: int) -> None:
        """Store a balance, keep the account's references in step with it, sweep the dust of a balance too small."""
        before, minimum = self.system.account_data(who), self.config.existential_deposit
        kept = free if free >= minimum else 0
        created = kept and before.free < minimum and self.system.increment_providers(who)
        if created:
            self.deposit_event(Endowed(who, free))
        if reserved and not before.reserved:
            self.system.increment_consumers(who)
        if before.reserved and not reserved:
            self.system.decrement_consumers(who)
        if before.free >= minimum and not kept:
            self.system.decrement_providers(who)
        if self.system.is_referenced(who):
            self.system.put_account_data(who, AccountData(kept, reserved, before.frozen, before.flags))
        if free != kept:
            self._sweep(who, free)
