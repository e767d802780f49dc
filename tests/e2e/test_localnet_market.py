"""`datdot localnet` with providers: a market between processes, through a power cut of a hoster."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from node.devnet.chain_file import provider_uri
from pallets.datdot.events import DropHosting, Paid, ProofOfStorageConfirmed
from pallets.datdot.types import Role
from tests.e2e.chain import Chain, check_money
from tests.e2e.localnet import Localnet, check_agreement, localnet
from tests.e2e.processes import Line, read_with_javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

CONTENT = random.Random(7).randbytes(3 * 65_536 + 17)
PROVIDERS = 7  # the least: three encoders, three hosters and an attestor


@dataclass
class Market:
    """The network, a validator's view of the chain, and what is hosted."""

    net: Localnet
    chain: Chain
    available: Line


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("market")
    file = folder / "file"
    file.write_bytes(CONTENT)
    options = ("--validators", 1, "--providers", PROVIDERS, "--block-time", 1, "--share", file)
    with localnet(folder / "net", *options) as net:
        yield Market(net, net.chain("alice"), net.program.event("available", 120))


def test_a_file_becomes_available_from_hosters_in_other_processes(market: Market) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert market.available["sha256"] == digest
    assert read_with_javascript(market.available)["sha256"] == digest


def test_validators_and_providers_have_the_same_blocks_and_state(market: Market) -> None:
    chains = [market.net.chain(name) for name in market.net.nodes]
    assert len(chains) == 1 + PROVIDERS
    number = market.chain.height()
    for chain in chains:
        chain.wait_for_block(number)
    check_agreement(chains, number)


def test_a_killed_hoster_answers_its_next_challenge_after_it_was_started_again(market: Market) -> None:
    chain = market.chain
    hoster = market.net.program.events("hosting_started")[0]["hoster"]
    users = {chain.user_id(provider_uri(index)): f"provider-{index + 1}" for index in range(PROVIDERS)}
    killed_at = chain.height()
    market.net.kill(users[hoster])
    chain.wait_for_block(killed_at + 2)
    restarted = market.net.start_again(users[hoster])
    number, _ = chain.wait_for_event(ProofOfStorageConfirmed, lambda event: event.hoster == hoster, chain.height() + 1)
    paid = [event.user for event in chain.events(number) if isinstance(event, Paid) and event.role is Role.HOSTER]
    assert hoster in paid
    assert not chain.events_between(1, number, DropHosting), "the power cut cost a lane"
    assert not [line for line in restarted.log if "Traceback" in line]
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert read_with_javascript(market.available)["sha256"] == digest


def test_no_money_appears_or_vanishes(market: Market) -> None:
    assert check_money(market.chain) > 10
