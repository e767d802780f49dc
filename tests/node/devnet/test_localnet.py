"""The processes of a local network, before they are started."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from node.config import StartRefused
from node.devnet.localnet import LocalnetConfig, bootnodes, plan_nodes
from node.devnet.ports import FIRST_PORT, LAST_PORT, free_or_any, free_ports, is_free

CONFIG = LocalnetConfig(
    directory=None,
    validators=2,
    providers=2,
    block_time_seconds=1.0,
    block_time_given=False,
    base_port=None,
    shares=(),
    timeout_seconds=None,
)


def test_every_node_has_ports_of_its_own_outside_the_range_of_outgoing_connections(tmp_path: Path) -> None:
    plans = plan_nodes(CONFIG, tmp_path)
    ports = [port for plan in plans for port in (plan.p2p_port, plan.rpc_port)]
    assert len(set(ports)) == 8
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports)


def test_argv_is_absolute_and_says_what_the_node_is(tmp_path: Path) -> None:
    validator, _, provider, _ = plan_nodes(CONFIG, tmp_path)
    assert validator.argv[0].startswith("/")
    assert "--validator" in validator.argv
    assert "--provider" in provider.argv
    assert str(tmp_path / "provider-1") in provider.argv
    for plan in (validator, provider):
        assert plan.argv[plan.argv.index("--rpc-port") + 1] == str(plan.rpc_port)


def test_later_nodes_dial_the_first_validators(tmp_path: Path) -> None:
    plans = plan_nodes(CONFIG, tmp_path)
    addresses = bootnodes(plans)
    assert len(addresses) == 2
    assert "--bootnode" not in plans[0].argv
    assert addresses[0] in plans[1].argv
    assert set(addresses) <= set(plans[3].argv)


def test_a_directory_keeps_its_ports(tmp_path: Path) -> None:
    assert plan_nodes(CONFIG, tmp_path) == plan_nodes(CONFIG, tmp_path)


def test_a_base_port_in_use_is_refused_by_its_number(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"port {port} is in use"):
            plan_nodes(replace(CONFIG, base_port=port), tmp_path)


def test_the_usual_port_is_taken_only_when_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert free_or_any(None, port) == 0
        assert free_or_any(port, 9944) == port
    assert len(set(free_ports(5))) == 5
