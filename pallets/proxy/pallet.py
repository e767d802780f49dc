"""The proxy pallet: who may act for whom, pure accounts that only proxies control, and announced calls.

The deposit of a list grows with it and is held by the account whose list it is. The deposit of a pure account is held
by its spawner; what the pure account adds to its own list is held by itself, and is given back first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from pallets.balances import Balances
from pallets.nested import class_around, outcome_of
from pallets.proxy.events import (
    Announced,
    DepositPoked,
    ProxyAdded,
    ProxyError,
    ProxyEvent,
    ProxyExecuted,
    ProxyRemoved,
    PureCreated,
    PureKilled,
)
from pallets.proxy.permissions import ProxyFilter, ProxyType
from pallets.proxy.types import (
    Announcement,
    Definitions,
    DepositKind,
    Pending,
    ProxyConfig,
    ProxyDefinition,
    ProxyReason,
    SpawnerDeposit,
)
from pallets.system import System
from pallets.weights import proxy as weights
from runtime.account import MultiAddress, lookup
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.crypto import blake2_256
from runtime.errors import InvariantBroken, ModuleError, ensure
from runtime.origin import Origin, Signed, ensure_signed
from runtime.pallet import Pallet, call
from runtime.storage import TWOX_64_CONCAT, StorageMap
from runtime.types import H256, U16, U32, U128, AccountId, CompactU32
from runtime.weights import DispatchClass, Pays, PostDispatchInfo, Weight

_PURE_DOMAIN = b"modlpy/proxy____"
_PURE_CODEC = codec_for(tuple[AccountId, U32, U32, ProxyType, U16])

_PROXIES = ProxyReason(DepositKind.PROXIES)
_ANNOUNCEMENTS = ProxyReason(DepositKind.ANNOUNCEMENTS)


def pure_account(who: bytes, height: int, extrinsic_index: int, kind: ProxyType, index: int) -> bytes:
    """Return the pure account that `who` spawned in an extrinsic: BLAKE2b-256 of FRAME's domain and the arguments."""
    return blake2_256(_PURE_DOMAIN + _PURE_CODEC.encode((who, height, extrinsic_index, kind, index)))


def _proxy_weight(pallet: Proxy, call: RuntimeCall, **_: object) -> Weight:
    return weights.PROXY + pallet.runtime.weight_of(call)


def _announced_weight(pallet: Proxy, call: RuntimeCall, **_: object) -> Weight:
    return weights.PROXY_ANNOUNCED + pallet.runtime.weight_of(call)


def _class(pallet: Proxy, call: RuntimeCall, **_: object) -> DispatchClass:
    return class_around(pallet.runtime, call)


class Proxy(Pallet):
    """Accounts that act for other accounts."""

    name = "Proxy"
    index = 11
    Config = ProxyConfig
    Event = ProxyEvent
    Error = ProxyError
    config: ProxyConfig

    proxies = StorageMap(
        AccountId,
        tuple[Definitions, U128],
        default=((), 0),
        hasher=TWOX_64_CONCAT,
        docs="The proxies of an account, sorted, and the deposit held for them, in planck.",
    )
    announcements = StorageMap(
        AccountId,
        tuple[Pending, U128],
        default=((), 0),
        hasher=TWOX_64_CONCAT,
        docs="The announcements made by a delegate, and the deposit held for them, in planck.",
    )
    spawner_deposits = StorageMap(
        AccountId,
        SpawnerDeposit,
        hasher=TWOX_64_CONCAT,
        docs="Which part of a pure account's deposit its spawner holds.",
    )

    def __init__(self, config: ProxyConfig, *, system: System, balances: Balances) -> None:
        super().__init__(config)
        self.system = system
        self.balances = balances

    # Acting for another account

    @call(weight=_proxy_weight, dispatch_class=_class)
    def proxy(
        self, origin: Origin, real: MultiAddress, force_proxy_type: ProxyType | None, call: RuntimeCall
    ) -> PostDispatchInfo:
        """Dispatch a call as an account of which the sender is a proxy without delay."""
        account = lookup(real)
        definition = self._find(account, ensure_signed(origin), force_proxy_type)
        ensure(definition.delay == 0, ProxyError.UNANNOUNCED)
        return PostDispatchInfo(weights.PROXY + self._dispatch(definition, account, call))

    @call(weight=weights.ADD_PROXY)
    def add_proxy(self, origin: Origin, delegate: MultiAddress, proxy_type: ProxyType, delay: U32) -> None:
        """Let another account act for the sender, after `delay` blocks from an announcement if it is not zero."""
        who, added = ensure_signed(origin), ProxyDefinition(lookup(delegate), proxy_type, delay)
        ensure(added.delegate != who, ProxyError.NO_SELF_PROXY)
        definitions, _ = self.proxies.get(who)
        ensure(added not in definitions, ProxyError.DUPLICATE)
        ensure(len(definitions) < self.config.max_proxies, ProxyError.TOO_MANY)
        self._set_proxies(who, tuple(sorted((*definitions, added), key=lambda definition: definition.rank)))
        self.deposit_event(ProxyAdded(who, added.delegate, proxy_type, delay))

    @call(weight=weights.REMOVE_PROXY)
    def remove_proxy(self, origin: Origin, delegate: MultiAddress, proxy_type: ProxyType, delay: U32) -> None:
        """Stop another account from acting for the sender."""
        who, removed = ensure_signed(origin), ProxyDefinition(lookup(delegate), proxy_type, delay)
        definitions, _ = self.proxies.get(who)
        ensure(removed in definitions, ProxyError.NOT_FOUND)
        self._set_proxies(who, tuple(definition for definition in definitions if definition != removed))
        self.deposit_event(ProxyRemoved(who, removed.delegate, proxy_type, delay))

    @call(weight=weights.REMOVE_PROXIES)
    def remove_proxies(self, origin: Origin) -> None:
        """Remove all proxies of the sender. From a pure account this gives up all access to it."""
        self._set_proxies(ensure_signed(origin), ())

    # Pure accounts

    @call(weight=weights.CREATE_PURE)
    def create_pure(self, origin: Origin, proxy_type: ProxyType, delay: U32, index: U16) -> None:
        """Make a new account without a key of which the sender is the only proxy; `index` tells several apart."""
        who = ensure_signed(origin)
        pure = pure_account(who, self.system.block_number(), self.system.extrinsic_index() or 0, proxy_type, index)
        ensure(not self.proxies.contains(pure), ProxyError.DUPLICATE)
        deposit = self._proxies_deposit(1)
        self.balances.hold(_PROXIES, who, deposit)
        self.proxies.put(pure, ((ProxyDefinition(who, proxy_type, delay),), deposit))
        self.spawner_deposits.put(pure, SpawnerDeposit(who, deposit))
        self.deposit_event(PureCreated(pure, who, proxy_type, index))

    @call(weight=weights.KILL_PURE)
    def kill_pure(
        self,
        origin: Origin,
        spawner: MultiAddress,
        proxy_type: ProxyType,
        index: U16,
        height: CompactU32,
        ext_index: CompactU32,
    ) -> None:
        """Give up the pure account that sends this, for good; the arguments are those of its creation."""
        who, creator = ensure_signed(origin), lookup(spawner)
        ensure(pure_account(creator, height, ext_index, proxy_type, index) == who, ProxyError.NO_PERMISSION)
        self._set_proxies(who, ())
        self.deposit_event(PureKilled(who, creator, proxy_type, index))

    # Announced calls

    @call(weight=weights.ANNOUNCE)
    def announce(self, origin: Origin, real: MultiAddress, call_hash: H256) -> None:
        """Announce the hash of a call that the sender is going to make for another account."""
        who, account = ensure_signed(origin), lookup(real)
        self._find(account, who, None)
        pending, _ = self.announcements.get(who)
        ensure(len(pending) < self.config.max_pending, ProxyError.TOO_MANY)
        added = Announcement(account, call_hash, self.system.block_number())
        self._set_announcements(who, (*pending, added))
        self.deposit_event(Announced(account, who, call_hash))

    @call(weight=weights.REMOVE_ANNOUNCEMENT)
    def remove_announcement(self, origin: Origin, real: MultiAddress, call_hash: H256) -> None:
        """Take back an announcement of the sender."""
        account = lookup(real)
        self._drop_announcements(ensure_signed(origin), lambda one: one.real == account and one.call_hash == call_hash)

    @call(weight=weights.REJECT_ANNOUNCEMENT)
    def reject_announcement(self, origin: Origin, delegate: MultiAddress, call_hash: H256) -> None:
        """Refuse a call that a proxy of the sender has announced."""
        who = ensure_signed(origin)
        self._drop_announcements(lookup(delegate), lambda one: one.real == who and one.call_hash == call_hash)

    @call(weight=_announced_weight, dispatch_class=_class)
    def proxy_announced(
        self,
        origin: Origin,
        delegate: MultiAddress,
        real: MultiAddress,
        force_proxy_type: ProxyType | None,
        call: RuntimeCall,
    ) -> PostDispatchInfo:
        """Dispatch a call that a proxy has announced long enough ago; anybody may send this."""
        ensure_signed(origin)
        who, account = lookup(delegate), lookup(real)
        definition = self._find(account, who, force_proxy_type)
        call_hash, now = blake2_256(self.runtime.call_codec.encode(call)), self.system.block_number()

        def is_due(one: Announcement) -> bool:
            return one.real == account and one.call_hash == call_hash and now - one.height >= definition.delay

        ensure(any(is_due(one) for one in self.announcements.get(who)[0]), ProxyError.UNANNOUNCED)
        self._drop_announcements(who, is_due)
        return PostDispatchInfo(weights.PROXY_ANNOUNCED + self._dispatch(definition, account, call))

    @call(weight=weights.POKE_DEPOSIT)
    def poke_deposit(self, origin: Origin) -> PostDispatchInfo:
        """Bring the sender's deposits to what they would be today; free of charge when one changes."""
        who = ensure_signed(origin)
        definitions, proxies_before = self.proxies.get(who)
        pending, pending_before = self.announcements.get(who)
        self._set_proxies(who, definitions)
        self._set_announcements(who, pending)
        changes = (
            (DepositKind.PROXIES, proxies_before, self.proxies.get(who)[1]),
            (DepositKind.ANNOUNCEMENTS, pending_before, self.announcements.get(who)[1]),
        )
        poked = [DepositPoked(who, kind, before, after) for kind, before, after in changes if before != after]
        for event in poked:
            self.deposit_event(event)
        return PostDispatchInfo(pays_fee=Pays.NO if poked else Pays.YES)

    def try_state(self) -> None:
        """Lists are sorted and not empty, and their deposits are held by whom they should be."""
        held: dict[tuple[ProxyReason, bytes], int] = {}

        def expect(reason: ProxyReason, who: bytes, amount: int) -> None:
            if amount:
                held[reason, who] = held.get((reason, who), 0) + amount

        for who, (definitions, deposit) in self.proxies.items():
            if not definitions or any(later.rank <= earlier.rank for earlier, later in pairwise(definitions)):
                raise InvariantBroken(f"the proxies of {who.hex()} are empty or not sorted")
            spawned = self.spawner_deposits.get(who)
            if spawned is not None:
                expect(_PROXIES, spawned.spawner, spawned.amount)
            expect(_PROXIES, who, deposit - (0 if spawned is None else spawned.amount))
        for who, (pending, deposit) in self.announcements.items():
            if not pending:
                raise InvariantBroken(f"the announcements of {who.hex()} are empty")
            expect(_ANNOUNCEMENTS, who, deposit)
        found = {
            (hold.id, who): hold.amount
            for who, holds in self.balances.holds.items()
            for hold in holds
            if isinstance(hold.id, ProxyReason)
        }
        if found != held:
            raise InvariantBroken("the deposits of Proxy are not what accounts hold for it")
        if any(not self.proxies.contains(pure) for pure, _ in self.spawner_deposits.items()):
            raise InvariantBroken("a spawner holds a deposit for a pure account that is gone")

    # How it works

    def _find(self, account: bytes, delegate: bytes, kind: ProxyType | None) -> ProxyDefinition:
        """Return the first definition that lets `delegate` act for an account, of one kind if given."""
        for definition in self.proxies.get(account)[0]:
            if definition.delegate == delegate and kind in (None, definition.proxy_type):
                return definition
        raise ModuleError(ProxyError.NOT_PROXY)

    def _dispatch(self, definition: ProxyDefinition, account: bytes, call: RuntimeCall) -> Weight:
        """Make a call as an account, within the limits of its proxy; return the weight that it used."""
        result = self.runtime.dispatch(call, Signed(account, (ProxyFilter(definition.proxy_type),)))
        self.deposit_event(ProxyExecuted(outcome_of(result)))
        return result.actual_weight

    def _proxies_deposit(self, count: int) -> int:
        return self.config.proxy_deposit_base + count * self.config.proxy_deposit_factor if count else 0

    def _announcements_deposit(self, count: int) -> int:
        return self.config.announcement_deposit_base + count * self.config.announcement_deposit_factor if count else 0

    def _set_proxies(self, who: bytes, definitions: Definitions) -> None:
        """Store an account's proxies and bring its deposit in step with them."""
        _, before = self.proxies.get(who)
        after = self._proxies_deposit(len(definitions))
        self.balances.hold(_PROXIES, who, max(after - before, 0))
        self._give_back(who, before, max(before - after, 0))
        if definitions:
            self.proxies.put(who, (definitions, after))
        else:
            self.proxies.remove(who)

    def _give_back(self, who: bytes, deposit: int, amount: int) -> None:
        """Release a part of a deposit: first what the account holds itself, then what its spawner holds."""
        spawned = self.spawner_deposits.get(who)
        if spawned is None:
            self.balances.release(_PROXIES, who, amount)
            return
        own = min(amount, deposit - spawned.amount)
        self.balances.release(_PROXIES, who, own)
        self.balances.release(_PROXIES, spawned.spawner, amount - own)
        left = spawned.amount - (amount - own)
        if left:
            self.spawner_deposits.put(who, SpawnerDeposit(spawned.spawner, left))
        else:
            self.spawner_deposits.remove(who)

    def _set_announcements(self, who: bytes, pending: Pending) -> None:
        """Store a delegate's announcements and bring its deposit in step with them."""
        _, before = self.announcements.get(who)
        after = self._announcements_deposit(len(pending))
        self.balances.hold(_ANNOUNCEMENTS, who, max(after - before, 0))
        self.balances.release(_ANNOUNCEMENTS, who, max(before - after, 0))
        if pending:
            self.announcements.put(who, (pending, after))
        else:
            self.announcements.remove(who)

    def _drop_announcements(self, who: bytes, dropped: Callable[[Announcement], bool]) -> None:
        pending, _ = self.announcements.get(who)
        kept = tuple(one for one in pending if not dropped(one))
        ensure(len(kept) < len(pending), ProxyError.NOT_FOUND)
        self._set_announcements(who, kept)
