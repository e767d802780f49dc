"""Joining the market and offering work."""

from collections.abc import Sequence

from pallets.datdot import items, pool
from pallets.datdot.calls.references import References, check_conditions, put_component, resolve, resolve_all, store
from pallets.datdot.components import Components, Form, FormInput, KeyProofs, RoleOffer
from pallets.datdot.events import DatDotError, NewUser, Registered
from pallets.datdot.messages import NOISE_KEY_DOMAIN, SIGNING_KEY_DOMAIN, key_proof_message
from pallets.datdot.storage import Market
from pallets.datdot.types import Role, User
from runtime.crypto import verify_ed25519
from runtime.errors import ensure


def new_user(market: Market, account: bytes, noise_key: bytes, signing_key: bytes, proofs: KeyProofs) -> int:
    """Make the account a user with two ed25519 keys that it owns."""
    ensure(not market.user_id_by_account.contains(account), DatDotError.DUPLICATE_USER)
    ensure(not market.user_id_by_noise_key.contains(noise_key), DatDotError.KEY_IN_USE)
    ensure(not market.user_id_by_signing_key.contains(signing_key), DatDotError.KEY_IN_USE)
    genesis = market.genesis_hash()
    for domain, key, signature in (
        (NOISE_KEY_DOMAIN, noise_key, proofs.noise),
        (SIGNING_KEY_DOMAIN, signing_key, proofs.signing),
    ):
        message = key_proof_message(domain, genesis, account)
        ensure(verify_ed25519(signature, message, key), DatDotError.BAD_SIGNATURE)
    user_id = market.new_id(items.User())
    market.user_by_id.put(user_id, User(account, noise_key, signing_key, None, 0, market.now()))
    market.user_id_by_account.put(account, user_id)
    market.user_id_by_noise_key.put(noise_key, user_id)
    market.user_id_by_signing_key.put(signing_key, user_id)
    market.deposit_event(NewUser(user_id))
    return user_id


def register_for_work(
    market: Market, account: bytes, form: FormInput, components: Components, offers: Sequence[RoleOffer]
) -> None:
    """Offer work under a form; a repeated call replaces the form and the named roles, other roles go on under it.

    Jobs that are running keep their slots and storage, so an offer cannot fall below them.
    """
    user_id = market.caller(account)
    user, now = market.user(user_id), market.now()
    ensure(len({offer.role for offer in offers}) == len(offers), DatDotError.LIMIT_EXCEEDED)
    ensure(all(offer.capacity <= market.config.max_hosting_slots for offer in offers), DatDotError.LIMIT_EXCEEDED)
    check_conditions(market, form.timetables, form.regions, form.performances)
    local = store(market, user_id, components)
    offered = _form(market, form, local, now)
    ensure(offered.until is None or offered.until > max(now, offered.from_), DatDotError.BAD_TIMES)
    resources = market.item_by_id.get(offered.resources)
    assert isinstance(resources, items.Resources)
    storage = resources.value.storage
    ensure(storage >= market.bookings.get(user_id).storage, DatDotError.BUSY)
    capacities = {offer.role: offer.capacity for offer in offers}
    for role in Role:
        data = market.roles.get(role, user_id)
        if data is not None:
            ensure(capacities.setdefault(role, data.capacity) >= data.used, DatDotError.BUSY)
    form_id = put_component(market, items.Form(offered))
    market.user_by_id.put(
        user_id, User(user.account, user.noise_key, user.signing_key, form_id, storage, user.created)
    )
    for role in Role:
        if role in capacities:
            pool.offer(market, user_id, role, capacities[role])
    active = tuple(role for role in Role if capacities.get(role))
    market.deposit_event(Registered(user_id, form_id, active))


def _form(market: Market, form: FormInput, local: References, now: int) -> Form:
    return Form(
        from_=now if form.from_ is None else form.from_,
        until=form.until,
        timetables=resolve_all(market, form.timetables, local.timetables, items.Timetable),
        regions=resolve_all(market, form.regions, local.regions, items.Region),
        performances=resolve_all(market, form.performances, local.performances, items.Performance),
        resources=resolve(market, form.resources, local.resources, items.Resources),
        ask=form.ask,
    )
