"""Who knows nothing but a key finds cores on a private Hyperswarm, ours and those of unmodified npm packages."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hypercore.io.core import Core
from tests.e2e.processes import Line, Program, datdot, javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("hyperswarm_packages")]

SCRIPTS = Path(__file__).parent
BLOCKS = [random.Random(index).randbytes(size) for index, size in enumerate([1, 100, 65_536, 300_000] * 25)]
SHARED = random.Random(1).randbytes(11 * 65_536 + 4_321)


@pytest.fixture(scope="module")
def network() -> Iterator[int]:
    """A private Hyperswarm; gives the port of its first node."""
    with javascript(SCRIPTS / "testnet.mjs") as testnet:
        yield testnet.line(lambda line: "port" in line)["port"]


def options(network: int) -> tuple[str, ...]:
    return ("--no-lan", "--hyperswarm", "--hyperswarm-bootstrap", f"127.0.0.1:{network}", "--json")


@contextmanager
def served_core(folder: Path, network: int) -> Iterator[tuple[Program, str]]:
    """A core behind `datdot core serve --hyperswarm`; gives the program and the key."""
    core = Core.create(folder / "core")
    core.append(BLOCKS)
    core.close()
    with datdot("core", "serve", folder / "core", *options(network)) as program:
        serving = program.event("serving")
        assert serving["announced"] == ["hyperswarm"], program.tail()
        yield program, serving["key"]


def read(key: str, network: int, blocks: int) -> Line:
    with javascript(SCRIPTS / "reader.mjs", key, network, blocks) as reader:
        return reader.line(lambda line: "sha256" in line)


def bridge_of(program: Program) -> psutil.Process:
    (bridge,) = (child for child in psutil.Process(program.pid).children() if "bridge.mjs" in child.cmdline()[-1])
    return bridge


def sha256_of(*blocks: bytes) -> str:
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def test_a_reader_who_knows_only_the_key_gets_every_block_of_a_served_core(tmp_path: Path, network: int) -> None:
    with served_core(tmp_path, network) as (program, key):
        assert read(key, network, len(BLOCKS)) == {
            "length": len(BLOCKS),
            "bytes": sum(map(len, BLOCKS)),
            "sha256": sha256_of(*BLOCKS),
            "peers": 1,
        }
        bridge = bridge_of(program)
        assert program.stop() == 0
        assert not bridge.is_running()
        assert program.log == []


def test_a_reader_who_knows_only_the_key_gets_a_served_drive(tmp_path: Path, network: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("text")
    with datdot("drive", "mirror", tmp_path / "store", "--from", tmp_path / "folder", "--json") as mirroring:
        version = mirroring.line(lambda line: "version" in line)["version"]
        assert mirroring.exit_status() == 0
    with datdot("drive", "serve", tmp_path / "store", *options(network)) as program:
        serving = program.event("serving")
        assert serving["announced"] == ["hyperswarm"], program.tail()
        assert read(serving["key"], network, version)["peers"] == 1


def test_a_core_that_only_hyperswarm_knows_is_cloned(tmp_path: Path, network: int) -> None:
    with javascript(SCRIPTS / "writer.mjs", network, 100) as writer:
        written = writer.line(lambda line: "key" in line)
        with datdot("core", "clone", written["key"], "--to", tmp_path / "copy", *options(network)) as program:
            cloned = program.line(lambda line: "length" in line)
            bridge_ended = program.exit_status() == 0
    assert bridge_ended
    assert (cloned["length"], cloned["local_blocks"]) == (100, 100)
    with Core.open(tmp_path / "copy") as core:
        assert sha256_of(*(core.get(index) for index in range(100))) == written["sha256"]


def test_a_drive_and_a_core_of_ours_are_found_over_hyperswarm_too(tmp_path: Path, network: int) -> None:
    (tmp_path / "file").write_text("text")
    with datdot("drive", "put", tmp_path / "store", "/a", tmp_path / "file", "--json") as putting:
        assert putting.exit_status() == 0
    with datdot("drive", "serve", tmp_path / "store", *options(network)) as program:
        key = program.event("serving")["key"]
        with datdot("drive", "ls", tmp_path / "reader", "--key", key, *options(network)) as listing:
            assert listing.line(lambda line: "path" in line)["path"] == "/a", listing.tail()
        with datdot("core", "clone", key, "--to", tmp_path / "copy", *options(network)) as cloning:
            assert cloning.line(lambda line: "length" in line)["local_blocks"] == 2


def test_a_core_that_nobody_announces_is_refused_when_the_time_is_up(tmp_path: Path, network: int) -> None:
    arguments = ("core", "clone", "00" * 32, "--to", tmp_path / "copy", "--timeout", 2, *options(network))
    with datdot(*arguments) as program:
        assert program.exit_status() == 1
        assert program.logged("nobody serves this core")
    assert not (tmp_path / "copy").exists()


def test_a_bridge_that_is_killed_starts_again_and_the_core_is_found_again(tmp_path: Path, network: int) -> None:
    with served_core(tmp_path, network) as (program, key):
        bridge_of(program).kill()
        program.logged("the Hyperswarm bridge ended")
        program.logged("the Hyperswarm bridge runs again")
        assert read(key, network, len(BLOCKS))["sha256"] == sha256_of(*BLOCKS)


def test_the_bridge_does_not_outlive_a_program_that_is_killed(tmp_path: Path, network: int) -> None:
    with served_core(tmp_path, network) as (program, _):
        bridge = bridge_of(program)
        os.kill(program.pid, signal.SIGKILL)
        psutil.wait_procs([bridge], timeout=20)
        assert not bridge.is_running()


def test_a_reader_gets_a_core_that_providers_host_from_all_of_them_together(tmp_path: Path, network: int) -> None:
    file = tmp_path / "shared.bin"
    file.write_bytes(SHARED)
    ports = ("--rpc-port", 0, "--app-port", 0, "--data", tmp_path / "data", "--block-time", 0.5)
    with datdot("dev", "--share", file, *ports, *options(network)) as program:
        available = program.event("available", 120)
        result = read(available["key"], network, available["length"])
        assert (result["bytes"], result["sha256"]) == (len(SHARED), sha256_of(SHARED))
        assert result["peers"] >= 2  # two contracts of different hosters; none of them has every block
        assert program.stop() == 0
