"""Money: what a plan must set aside, what work earns, and moving it. Planck, integers, every division rounded down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pallets.datdot.config import PPM, DatDotConfig
from pallets.datdot.events import Paid, Refunded
from pallets.datdot.storage import Market
from pallets.datdot.types import PLAN_ESCROW, Prices, Role

QUALITY_UNMEASURED = PPM
"""Quality of delivery in ppm that counts as long as none was measured."""


@dataclass(frozen=True)
class Escrow:
    """The parts of what a plan must set aside, in planck."""

    hosting: int
    setup: int
    repair: int
    storage_checks: int
    performance_checks: int
    severance: int

    @property
    def total(self) -> int:
        """Their sum."""
        parts = (self.hosting, self.setup, self.repair, self.storage_checks, self.performance_checks, self.severance)
        return sum(parts)


def default_prices(config: DatDotConfig) -> Prices:
    """What a plan pays that names no prices."""
    return Prices(
        config.hosting_price,
        config.encoding_price,
        config.attesting_price,
        config.storage_check_price,
        config.performance_check_price,
    )


def required_escrow(prices: Prices, chunk_counts: Sequence[int], blocks: int, config: DatDotConfig) -> Escrow:
    """What hosting contracts of so many chunks for so many blocks may cost at most; `.total` is the least deposit.

    Pure: clients call it for a quote, with `contracts.cut` for the chunk counts.
    """
    chunks, contracts = sum(chunk_counts), len(chunk_counts)
    hosters, encoders = config.hosters_per_contract, config.encoders_per_contract
    challenges = -(-blocks // config.challenge_delay)
    setup = chunks * (encoders * prices.encoding + hosters * prices.attesting)
    measured = config.performance_attestor_count * hosters * contracts * challenges
    return Escrow(
        hosting=hosters * chunks * prices.hosting * blocks,
        setup=setup,
        repair=setup,
        storage_checks=contracts * hosters * prices.storage_check * (challenges + 1),
        performance_checks=measured * prices.performance_check,
        severance=hosters * chunks * prices.hosting * config.severance_blocks,
    )


def hosting_pay(gross: int, quality: int, config: DatDotConfig) -> tuple[int, int]:
    """What a proven interval worth `gross` costs the plan at a quality in ppm, and the protocol fee inside of it."""
    pay = gross * (config.storage_share * PPM + (PPM - config.storage_share) * quality) // PPM**2
    return pay, pay * config.protocol_fee // PPM


def pay_hoster(market: Market, plan_id: int, contract_id: int, hoster: int, gross: int) -> None:
    """Pay a hoster for a proven interval, and the treasury its fee."""
    pay, fee = hosting_pay(gross, QUALITY_UNMEASURED, market.config)
    sponsor = market.user(market.plan(plan_id).sponsor).account
    _pay(market, plan_id, contract_id, sponsor, hoster, Role.HOSTER, pay - fee)
    if fee:
        funds = market.funds_of(plan_id)
        market.funds.put(plan_id, replace(funds, escrow=funds.escrow - fee))
        market.balances.transfer_held(PLAN_ESCROW, sponsor, market.balances.treasury, fee)


def pay_setup(market: Market, plan_id: int, contract_id: int, user_id: int, role: Role, amount: int) -> None:
    """Pay an encoder or a setup attestor, never beyond what the plan set aside for setups and repairs."""
    funds = market.funds_of(plan_id)
    pay = min(amount, funds.setup_budget)
    market.funds.put(plan_id, replace(funds, setup_budget=funds.setup_budget - pay))
    sponsor = market.user(market.plan(plan_id).sponsor).account
    _pay(market, plan_id, contract_id, sponsor, user_id, role, pay)


def encoder_halves(chunks: int, price: int) -> tuple[int, int]:
    """What an encoder gets when hosting starts, and at the lane's first passed challenge."""
    whole = chunks * price
    return whole // 2, whole - whole // 2


def refund(market: Market, plan_id: int) -> None:
    """Give the sponsor what is left of a plan's escrow and close the plan's account."""
    plan, funds = market.plan(plan_id), market.funds_of(plan_id)
    market.funds.remove(plan_id)
    if funds.escrow:
        market.balances.release(PLAN_ESCROW, market.user(plan.sponsor).account, funds.escrow)
    market.deposit_event(Refunded(plan_id, plan.sponsor, funds.escrow))


def _pay(
    market: Market, plan_id: int, contract_id: int, sponsor: bytes, user_id: int, role: Role, amount: int
) -> None:
    if amount == 0:
        return
    funds = market.funds_of(plan_id)
    market.funds.put(plan_id, replace(funds, escrow=funds.escrow - amount))
    market.balances.transfer_held(PLAN_ESCROW, sponsor, market.user(user_id).account, amount)
    market.deposit_event(Paid(plan_id, contract_id, user_id, role, amount))
