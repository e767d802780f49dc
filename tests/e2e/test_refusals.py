"""What a program says when it cannot start as asked: one clear sentence on standard error, exit status 1."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.devnet.chain_file import development_spec
from tests.e2e.processes import Program, datdot

PORTS = ("--rpc-port", 0, "--app-port", 0)
KEY = "c2" * 32


def refusal(*arguments: object, within_seconds: float = 30) -> str:
    """The one sentence with which a command refuses; fails when it does anything else."""
    with datdot(*arguments) as program:
        status = program.exit_status(within_seconds)
        assert status == 1, f"exit status {status}\n{program.tail()}"
        assert not program.events("available")
        said = [line for line in program.log if line.strip()]
    assert len(said) == 1, "\n".join(said)
    assert said[0].startswith("datdot: ")
    assert "Traceback" not in said[0]
    return said[0]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def chain_file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(development_spec(1, 0, block_time_seconds=1, name="Test").to_json()))
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a chain of 2 s per block."""
    path = tmp_path_factory.mktemp("refusals") / "data"
    with datdot("dev", "--data", path, "--block-time", 2, "--blocks", "manual", "--json", *PORTS) as program:
        program.event("ready")
        assert program.stop() == 0
    return path


@pytest.fixture
def running_dev(directory: Path) -> Iterator[Program]:
    with datdot("dev", "--data", directory, "--blocks", "manual", "--json", *PORTS) as program:
        program.event("ready")
        yield program
        assert program.is_running
        assert program.stop() == 0


def test_a_taken_rpc_port(taken_port: int) -> None:
    said = refusal("dev", "--rpc-port", taken_port, "--app-port", 0)
    assert str(taken_port) in said
    assert "--rpc-port" in said


def test_a_taken_app_port(taken_port: int) -> None:
    said = refusal("dev", "--rpc-port", 0, "--app-port", taken_port)
    assert str(taken_port) in said
    assert "--app-port" in said


def test_a_taken_libp2p_port(taken_port: int, chain_file: Path) -> None:
    base = chain_file.parent / "base"
    options = ("--base-path", base, "--port", taken_port, "--rpc-port", 0, "--log-level", "error")
    said = refusal("node", "--genesis", chain_file, *options)
    assert str(taken_port) in said
    assert "--port" in said


def test_a_taken_base_port_of_a_localnet(taken_port: int) -> None:
    said = refusal("localnet", "--validators", 1, "--providers", 0, "--base-port", min(taken_port, 60_000), "--json")
    assert "--base-port" in said


def test_a_directory_that_another_node_uses(running_dev: Program, directory: Path) -> None:
    assert str(directory) in refusal("dev", "--data", directory, *PORTS)


def test_another_block_time_than_that_of_the_directory(directory: Path) -> None:
    said = refusal("dev", "--data", directory, "--block-time", 0.5, *PORTS)
    assert "2 s" in said
    assert "0.5 s" in said


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refusal("dev", "--data", tmp_path / "file", *PORTS)


def test_a_node_with_the_directory_of_another_chain(directory: Path, chain_file: Path) -> None:
    options = ("--base-path", directory, "--rpc-port", 0, "--log-level", "error")
    assert "another chain" in refusal("node", "--genesis", chain_file, *options)


def test_a_missing_chain_file(tmp_path: Path) -> None:
    assert "missing.json" in refusal("node", "--genesis", tmp_path / "missing.json", "--rpc-port", 0)


def _without_authorities(chain: dict[str, object]) -> None:
    chain["genesis"]["Aura"]["authorities"] = []  # type: ignore[index]


def _with_a_broken_address(chain: dict[str, object]) -> None:
    chain["genesis"]["Balances"]["balances"][0][0] = "5Grw"  # type: ignore[index]


def _with_an_unknown_constant(chain: dict[str, object]) -> None:
    chain["genesis"]["constants"]["DatDot"]["ChalengeDelay"] = 5  # type: ignore[index]


def _with_an_unknown_pallet(chain: dict[str, object]) -> None:
    chain["genesis"]["Balance"] = {}  # type: ignore[index]


def _without_a_slot_time(chain: dict[str, object]) -> None:
    del chain["slot_duration_ms"]


MISTAKES = [
    (_without_authorities, "Aura.authorities"),
    (_with_a_broken_address, "Balances.balances"),
    (_with_an_unknown_constant, "ChalengeDelay"),
    (_with_an_unknown_pallet, "Balance"),
    (_without_a_slot_time, "slot_duration_ms"),
]


@pytest.mark.parametrize(("mistake", "place"), MISTAKES, ids=[mistake.__name__ for mistake, _ in MISTAKES])
def test_a_chain_file_with_a_mistake_is_refused_with_its_place(chain_file: Path, mistake: object, place: str) -> None:
    chain = json.loads(chain_file.read_text())
    assert callable(mistake)
    mistake(chain)
    chain_file.write_text(json.dumps(chain))
    base = chain_file.parent / "base"
    assert place in refusal("node", "--genesis", chain_file, "--base-path", base, "--rpc-port", 0)
    assert place in refusal("genesis", "check", chain_file)


def test_a_chain_file_that_is_not_json(chain_file: Path) -> None:
    chain_file.write_text(chain_file.read_text()[:-10])
    assert str(chain_file) in refusal("node", "--genesis", chain_file, "--rpc-port", 0)


def test_a_missing_key_file(chain_file: Path) -> None:
    said = refusal("node", "--genesis", chain_file, "--validator", "--key", chain_file.parent / "alice.json")
    assert "alice.json" in said
    assert "datdot key new" in said


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(chain_file: Path) -> None:
    secret = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
    assert "bottom drive" not in refusal("node", "--genesis", chain_file, "--validator", "--key", secret)


def test_sharing_a_missing_file(tmp_path: Path) -> None:
    assert "missing.bin does not exist" in refusal("dev", "--share", tmp_path / "missing.bin", *PORTS)


def test_sharing_a_folder(tmp_path: Path) -> None:
    assert "folder" in refusal("dev", "--share", tmp_path, *PORTS)


@pytest.mark.parametrize("name", ["empty", "unreachable", "no key", "no port"])
def test_sharing_what_cannot_be_read(tmp_path: Path, taken_port: int, name: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    source, reason = {
        "empty": (str(tmp_path / "empty"), "empty"),
        "unreachable": (f"{KEY}@127.0.0.1:{closed_port}", f"127.0.0.1:{closed_port}"),
        "no key": (f"nonsense@127.0.0.1:{taken_port}", "nonsense"),
        "no port": (f"{KEY}@127.0.0.1:99999", "99999"),
    }[name]
    said = refusal("dev", "--share", source, "--block-time", 0.5, "--timeout", 60, "--json", *PORTS, within_seconds=60)
    assert reason in said
