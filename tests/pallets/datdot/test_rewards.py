"""Amounts: what a plan must set aside and what work earns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.datdot.config import PPM, DatDotConfig
from pallets.datdot.rewards import default_prices, encoder_halves, hosting_pay, required_escrow
from pallets.datdot.types import Prices

LIVE = DatDotConfig(challenge_delay=100)
AMOUNTS = st.integers(0, 10**30)


def test_the_deposit_of_the_worked_example_is_142_056_dat() -> None:
    escrow = required_escrow(default_prices(LIVE), [10, 10, 5], 1_000, LIVE)
    assert escrow.hosting == 127_500_000_000
    assert escrow.setup == escrow.repair == 129_000_000
    assert escrow.storage_checks == 198_000_000
    assert escrow.performance_checks == 1_350_000_000
    assert escrow.severance == 12_750_000_000
    assert escrow.total == 142_056_000_000


def test_a_proven_interval_of_the_worked_example_pays_94_percent() -> None:
    gross = 10 * 1_700_000 * (215 - 110)
    pay, fee = hosting_pay(gross, 800_000, LIVE)
    assert (gross, pay, fee, pay - fee) == (1_785_000_000, 1_677_900_000, 16_779_000, 1_661_121_000)
    assert gross - pay == 107_100_000


@pytest.mark.parametrize(("quality", "pay"), [(PPM, 1_000), (0, 700), (500_000, 850), (1, 700)])
def test_storing_alone_earns_the_storage_share(quality: int, pay: int) -> None:
    assert hosting_pay(1_000, quality, LIVE)[0] == pay


@given(AMOUNTS, st.integers(0, PPM))
def test_nobody_is_paid_more_than_the_interval_is_worth(gross: int, quality: int) -> None:
    pay, fee = hosting_pay(gross, quality, LIVE)
    assert 0 <= fee <= pay <= gross
    assert pay >= gross * 7 // 10


@given(st.integers(1, 255), AMOUNTS)
def test_both_halves_of_an_encoder_are_the_whole(chunks: int, price: int) -> None:
    first, second = encoder_halves(chunks, price)
    assert first + second == chunks * price
    assert 0 <= second - first <= 1


@given(st.lists(st.integers(1, 10), min_size=1, max_size=8), st.integers(1, 10_000))
def test_a_longer_or_larger_plan_needs_more(counts: list[int], blocks: int) -> None:
    prices = default_prices(LIVE)
    base = required_escrow(prices, counts, blocks, LIVE).total
    assert required_escrow(prices, counts, blocks + 1, LIVE).total > base
    assert required_escrow(prices, [*counts, 1], blocks, LIVE).total > base


def test_free_hosting_needs_no_escrow() -> None:
    assert required_escrow(Prices(0, 0, 0, 0, 0), [10], 1_000, LIVE).total == 0
