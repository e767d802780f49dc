"""`datdot localnet` with validators only: one chain in four processes, through a power cut of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.chain import check_money
from tests.e2e.localnet import Localnet, check_agreement, localnet
from tests.e2e.processes import datdot

VALIDATORS = ("alice", "bob", "charlie", "dave")
VICTIM = "charlie"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localnet]:
    directory = tmp_path_factory.mktemp("localnet")
    with localnet(directory, "--validators", 4, "--providers", 0, "--block-time", 0.5) as running_net:
        yield running_net


def test_each_validator_is_a_process_of_its_own_with_ports_and_arguments_of_its_own(net: Localnet) -> None:
    assert tuple(net.nodes) == VALIDATORS
    assert {node["role"] for node in net.nodes.values()} == {"validator"}
    for name in ("pid", "rpc", "p2p"):
        assert len({node[name] for node in net.nodes.values()}) == len(VALIDATORS)
    for node in net.nodes.values():
        assert node["rpc"].startswith("ws://127.0.0.1:")
        assert Path(node["argv"][0]).is_absolute()


def test_four_processes_have_the_same_block_and_state_at_the_same_height(net: Localnet) -> None:
    chains = [net.chain(name) for name in VALIDATORS]
    for chain in chains:
        chain.wait_for_block(10)
    for number in range(9):
        check_agreement(chains, number)
    assert min(chain.call("system_health")["peers"] for chain in chains) >= 2


def test_every_validator_makes_blocks_in_its_turn(net: Localnet) -> None:
    chain = net.chain("alice")
    missing = set(range(len(VALIDATORS)))
    with closing(chain.blocks(1, 60)) as numbers:
        while missing:
            missing.discard(chain.author_of(chain.header_at(next(numbers))))


def test_a_killed_validator_catches_up_from_its_disk_and_makes_blocks_again(net: Localnet) -> None:
    alice, victim = net.chain("alice"), net.chain(VICTIM)
    on_disk = victim.height()
    net.kill(VICTIM)
    alice.wait_for_block(alice.height() + 4)  # the others go on without it
    restarted = net.start_again(VICTIM)
    assert victim.call("system_syncState")["startingBlock"] >= on_disk
    index = VALIDATORS.index(VICTIM)
    with closing(alice.blocks(alice.height() + 1, 60)) as numbers:
        own = next(number for number in numbers if alice.author_of(alice.header_at(number)) == index)
    chains = [net.chain(name) for name in VALIDATORS]
    for chain in chains:
        chain.wait_for_block(own + 2)
    check_agreement(chains, own)
    assert restarted.is_running
    assert not [line for line in restarted.log if "Traceback" in line]


def test_the_other_processes_outlive_a_killed_one(net: Localnet) -> None:
    heights = {name: net.chain(name).height() for name in VALIDATORS}
    for name, height in heights.items():
        net.chain(name).wait_for_block(height + 2)


def test_no_money_appears_or_vanishes(net: Localnet) -> None:
    assert check_money(net.chain("bob")) > 10


def test_a_localnet_finds_its_chain_and_ports_again(tmp_path: Path) -> None:
    options = ("localnet", "--dir", tmp_path, "--validators", 1, "--providers", 0, "--json")
    with datdot(*options, "--block-time", 0.5) as first:
        first.event("ready")
        (before,) = first.events("node_started")
        assert first.stop() == 0
    with datdot(*options) as second:
        second.event("ready")
        (after,) = second.events("node_started")
        assert second.stop() == 0
    assert {**before, "pid": None} == {**after, "pid": None}
