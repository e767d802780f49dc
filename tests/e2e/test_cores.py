"""Cores of other authors: written by JavaScript and by Python, named as KEY@HOST:PORT, hosted without their writer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hypercore.io.core import Core
from tests.e2e.processes import Line, Program, datdot, javascript, read_with_javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

LARGEST_BLOCK = random.Random(4).randbytes(65_536)
NOT_UTF8 = b"\xff"
TEXTS = ["plain text", "1", "naïve — ünïcödé"]
JAVASCRIPT_BLOCKS = [LARGEST_BLOCK, NOT_UTF8, *(text.encode() for text in TEXTS)]
PYTHON_BLOCKS = [b"\x00", b"text\n", LARGEST_BLOCK[::-1], b"\xc3\x28\xa0\xa1", bytes(65_536), b"x"]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    """`available` of each core, by who wrote it; the writers are dead and the market runs on."""
    folder = tmp_path_factory.mktemp("cores")
    content = folder / "content"
    content.write_bytes(LARGEST_BLOCK + NOT_UTF8)
    with (
        javascript("writer.mjs", content) as manifest_writer,
        javascript("writer.mjs", content, "--compat") as compat_writer,
        python_writer(folder / "python") as python,
    ):
        sources = {}
        for name, writer in (("javascript", manifest_writer), ("javascript v1", compat_writer)):
            hello = writer.line(lambda line: "key" in line)
            writer.write(append=TEXTS)
            assert writer.line(lambda line: "fork" in line)["length"] == len(JAVASCRIPT_BLOCKS)
            sources[name] = f"{hello['key']}@{hello['host']}:{hello['port']}"
        serving = python.event("serving")
        sources["python v1"] = f"{serving['key']}@{serving['host']}:{serving['port']}"
        shares = [option for source in sources.values() for option in ("--share", source)]
        with datdot("dev", *shares, "--block-time", 0.5, "--json", "--rpc-port", 0, "--app-port", 0) as market:
            found = {}
            for name, source in sources.items():
                found[name] = market.event("available", 120, key=source.split("@")[0])
            for writer in (manifest_writer, compat_writer, python):
                assert writer.stop() == 0
            yield found
            assert market.stop() == 0
            assert market.log == []


def python_writer(directory: Path) -> AbstractContextManager[Program]:
    core = Core.create(directory, compat=True)
    core.append(PYTHON_BLOCKS)
    core.close()
    return datdot("core", "serve", directory, "--json")


BLOCKS = {"javascript": JAVASCRIPT_BLOCKS, "javascript v1": JAVASCRIPT_BLOCKS, "python v1": PYTHON_BLOCKS}


@pytest.mark.parametrize("author", BLOCKS)
def test_a_core_is_hosted_byte_for_byte(hosted: dict[str, Line], author: str) -> None:
    content = b"".join(BLOCKS[author])
    assert hosted[author]["length"] == len(BLOCKS[author])
    assert hosted[author]["bytes"] == len(content)
    assert hosted[author]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("author", BLOCKS)
def test_javascript_reads_a_core_whose_writer_is_dead_from_its_hosters(hosted: dict[str, Line], author: str) -> None:
    result = read_with_javascript(hosted[author])
    assert result["length"] == len(BLOCKS[author])
    assert result["sha256"] == hosted[author]["sha256"]


@pytest.mark.parametrize("author", BLOCKS)
def test_python_gets_the_very_blocks_of_a_core_from_its_hosters(
    hosted: dict[str, Line], author: str, tmp_path: Path
) -> None:
    peers = [f"{peer['host']}:{peer['port']}" for peer in hosted[author]["peers"]]
    with datdot("core", "clone", hosted[author]["key"], *peers, "--to", tmp_path / "copy", "--json") as clone:
        assert clone.exit_status() == 0, clone.tail()
    core = Core.open(tmp_path / "copy")
    assert [core.get(index) for index in range(core.length)] == BLOCKS[author]
    core.close()


def test_a_reader_without_any_address_finds_the_hosters_of_a_core(hosted: dict[str, Line], tmp_path: Path) -> None:
    key = hosted["python v1"]["key"]
    with datdot("core", "clone", key, "--to", tmp_path / "copy", "--json") as clone:
        assert clone.exit_status() == 0, clone.tail()
        assert clone.log == []
    core = Core.open(tmp_path / "copy")
    assert [core.get(index) for index in range(core.length)] == PYTHON_BLOCKS
    core.close()
