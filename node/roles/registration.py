"""Joining the market: the user of an account and its offer of work."""

from __future__ import annotations

from dataclasses import dataclass

from node.client.chain import FollowedChain
from node.roles.identity import ProviderIdentity
from node.roles.market_view import PALLET, MarketView
from pallets.datdot.components import Components, FormInput, Resources, RoleOffer
from pallets.datdot.types import Prices, Role
from runtime.call import RuntimeCall

NO_LEAST_PRICES = Prices(0, 0, 0, 0, 0)


class RegistrationFailed(Exception):
    """The chain refused the account as a user or its offer; the text is its reason."""


@dataclass(frozen=True)
class WorkOffer:
    """What a provider offers: sealed bytes that it stores, jobs at once in each role, its line in bits per second."""

    storage_bytes: int = 1 << 30
    hosting_slots: int = 64
    sealing_jobs: int = 2
    attesting_jobs: int = 4
    upload_bits_per_second: int = 100_000_000
    download_bits_per_second: int = 100_000_000

    def capacities(self) -> dict[Role, int]:
        """Jobs at once by role."""
        return {Role.ENCODER: self.sealing_jobs, Role.HOSTER: self.hosting_slots, Role.ATTESTOR: self.attesting_jobs}


async def ensure_user(market: MarketView, identity: ProviderIdentity, offer: WorkOffer | None = None) -> int:
    """The user id of the account, after making the user and its offer what they should be, in one extrinsic.

    Raises RegistrationFailed and SubmitFailed.
    """
    account = identity.account.account_id
    calls = []
    user_id = market.user_id(account)
    if user_id is None:
        keys = {"noise_key": identity.noise_key, "signing_key": identity.signing_key}
        calls.append(RuntimeCall(PALLET, "new_user", {**keys, "key_proofs": identity.key_proofs(market.genesis_hash)}))
    if offer is not None and (user_id is None or not _is_offered(market, user_id, offer)):
        calls.append(_offer_call(offer))
    if calls:
        await _submit(market.chain, identity, calls)
        user_id = market.user_id(account)
    if user_id is None:
        raise RegistrationFailed("the account is not a user although its registration was accepted")
    return user_id


def _is_offered(market: MarketView, user_id: int, offer: WorkOffer) -> bool:
    user = market.user(user_id)
    if user is None or user.form is None or user.storage != offer.storage_bytes:
        return False
    for role, capacity in offer.capacities().items():
        data = market.chain.query(PALLET, "Roles", role, user_id)
        if (data.capacity if data is not None else 0) != capacity:
            return False
    return True


def _offer_call(offer: WorkOffer) -> RuntimeCall:
    resources = Resources(offer.storage_bytes, offer.upload_bits_per_second, offer.download_bits_per_second)
    form = FormInput(
        from_=None, until=None, timetables=(), regions=(), performances=(), resources=-1, ask=NO_LEAST_PRICES
    )
    roles = tuple(RoleOffer(role, capacity) for role, capacity in offer.capacities().items())
    arguments = {"form": form, "components": Components(resources=(resources,)), "roles": roles}
    return RuntimeCall(PALLET, "register_for_work", arguments)


async def _submit(chain: FollowedChain, identity: ProviderIdentity, calls: list[RuntimeCall]) -> None:
    call = calls[0] if len(calls) == 1 else RuntimeCall("Utility", "batch_all", {"calls": tuple(calls)})
    receipt = await chain.submit(call, identity.account)
    if receipt.error is not None:
        raise RegistrationFailed(f"the chain refused the registration: {receipt.error}")
