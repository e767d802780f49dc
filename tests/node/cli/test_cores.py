"""`datdot core` as a shell sees it: what it prints, where its keys are, and what becomes of an interrupted clone."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from typer.testing import Result

from hypercore.io import replication as replication_module
from hypercore.io.core import Core
from hypercore.io.replication import Replication, open_replication
from hypercore.io.session import Session
from node.cli import links
from node.cli.cloning import clone
from node.cli.output import Refused
from tests.e2e.processes import DATDOT, ROOT
from tests.node.cli import shell

TEXT = b"plain text, again and again\n" * 10_000


def core(*arguments: object, input: bytes | None = None) -> Result:
    return shell.datdot("core", *arguments, input=input)


def as_json(*arguments: object) -> dict[str, Any]:
    return shell.as_json(core, *arguments)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text"
    file.write_bytes(TEXT)
    return file


def test_a_core_gives_back_what_was_appended(tmp_path: Path, text: Path) -> None:
    made = as_json("create", tmp_path / "core")
    assert (made["length"], made["writable"], made["encrypted"]) == (0, True, False)
    assert as_json("append", tmp_path / "core", text)["length"] == 5
    assert core("append", tmp_path / "core", "-", "--block-bytes", 3, input=b"typed").exit_code == 0
    assert as_json("info", tmp_path / "core")["bytes"] == len(TEXT) + 5
    assert core("cat", tmp_path / "core").stdout_bytes == TEXT + b"typed"
    assert core("cat", tmp_path / "core", "--start", 6, "--end", 7).stdout_bytes == b"ed"
    assert as_json("check", tmp_path / "core")["healthy"]


def test_an_encrypted_core_is_stored_without_its_text_and_read_with_its_key(tmp_path: Path, text: Path) -> None:
    made = as_json("create", tmp_path / "core", "--encrypted")
    key_file = tmp_path / "core" / "encryption-key"
    assert made["encrypted"]
    assert key_file.read_text().strip() not in json.dumps(made)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    facts = as_json("append", tmp_path / "core", text)
    assert facts["bytes"] == len(TEXT) + 8 * facts["length"]
    assert TEXT[:27] not in (tmp_path / "core" / "data").read_bytes()
    assert core("cat", tmp_path / "core").stdout_bytes == TEXT
    elsewhere = key_file.rename(tmp_path / "key")
    assert core("cat", tmp_path / "core").stdout_bytes != TEXT
    assert core("cat", tmp_path / "core", "--encryption-key", elsewhere).stdout_bytes == TEXT


def test_stored_blocks_of_an_encrypted_core_have_64_kib(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(200_000))
    as_json("create", tmp_path / "core", "--encrypted")
    as_json("append", tmp_path / "core", tmp_path / "file")
    opened = Core.open(tmp_path / "core")
    assert [opened.block_bytes(index) for index in range(opened.length)] == [65_536, 65_536, 65_536, 3_424]
    opened.close()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("append", "core", "nowhere"), "nowhere: No such file or directory"),
        (("append", "core", "."), ".: Is a directory"),
        (("append", "nowhere", "text"), "there is no core in nowhere"),
        (("cat", "."), "there is no core in ."),
        (("cat", "core", "--start", "1"), "the core has 0 blocks: there is no block 1"),
        (("cat", "core", "--end", "9"), "there is no block 8"),
        (("info", "text"), "there is no core in text"),
        (("serve", "nowhere"), "there is no core in nowhere"),
        (("check", "nowhere"), "there is no core in nowhere"),
        (("create", "core"), "already a core"),
        (("cat", "core", "--encryption-key", "text"), "text holds no encryption key"),
        (("cat", "core", "--encryption-key", "nowhere"), "cannot read the encryption key"),
        (("clone", "zz", "127.0.0.1:1", "--to", "copy"), "a key is 32 bytes"),
        (("clone", "00" * 32, "127.0.0.1", "--to", "copy"), "is not HOST:PORT"),
        (("clone", "00" * 32, "127.0.0.1:1", "--to", "copy"), "no peer answers"),
        (("clone", "00" * 32, "127.0.0.1:1", "--to", "core"), "the core in this directory is"),
    ],
)
def test_refusals_are_one_sentence_and_leave_nothing_behind(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    as_json("create", "core")
    refused = core(*arguments)
    assert refused.exit_code == 1, refused.output
    assert refused.stderr.startswith("datdot: ")
    assert part in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["core", "text"]


@pytest.mark.parametrize("arguments", [("append", "core"), ("clone", "key"), ("cat", "core", "--start", "-1"), ("x",)])
def test_wrong_usage_ends_with_status_2(arguments: tuple[str, ...]) -> None:
    assert core(*arguments).exit_code == 2


def run_with_terminal(*arguments: object, stdout: int) -> bytes:
    """What a command draws on a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*DATDOT, *map(str, arguments)], stdout=stdout, stderr=theirs, cwd=ROOT, env={**os.environ, "TERM": "xterm"}
        )
        os.close(theirs)
        drawn = b""
        while part := read_terminal(ours):
            drawn += part
        assert process.wait(60) == 0, drawn
        return drawn
    finally:
        os.close(ours)


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # Linux ends a terminal that nobody holds any more with an error
        return b""


def test_a_bar_is_drawn_on_a_terminal_and_nothing_anywhere_else(tmp_path: Path, text: Path) -> None:
    as_json("create", tmp_path / "core")
    drawn = run_with_terminal("core", "append", tmp_path / "core", text, stdout=subprocess.DEVNULL)
    assert b"appending" in drawn
    assert b"280.0/280.0 kB" in drawn
    assert b"reading" in run_with_terminal("core", "cat", tmp_path / "core", stdout=subprocess.DEVNULL)
    assert b"checking" in run_with_terminal("core", "check", tmp_path / "core", stdout=subprocess.DEVNULL)
    assert core("append", tmp_path / "core", text).stderr == ""
    assert core("cat", tmp_path / "core").stderr == ""


def test_a_reader_that_goes_away_gets_no_sentence(tmp_path: Path, text: Path) -> None:
    as_json("create", tmp_path / "core")
    for _ in range(4):
        as_json("append", tmp_path / "core", text)
    process = subprocess.Popen(
        [*DATDOT, "core", "cat", str(tmp_path / "core")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == TEXT[:5]
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


@asynccontextmanager
async def serving(core: Core) -> AsyncIterator[tuple[Replication, int]]:
    async with open_replication() as replication:
        replication.add(core)
        yield replication, await replication.listen()


def author(blocks: int) -> Core:
    made = Core.create()
    made.append([bytes([index]) * 1_000 for index in range(blocks)])
    return made


async def test_a_clone_that_its_peers_cannot_finish_keeps_what_came_and_goes_on_later(tmp_path: Path) -> None:
    whole = author(8)
    incomplete = Core.open(None, whole.key)
    async with serving(whole) as (_, whole_port):
        async with open_replication() as replication:
            await replication.connect("127.0.0.1", whole_port)
            await replication.update(incomplete, 8)
            await replication.download(incomplete, 0, 5)
        async with serving(incomplete) as (_, port):
            with pytest.raises(Refused, match=r"no block came for 0.5 s .1 peers are connected.: 5000 of 8000 bytes"):
                await clone(whole.public_id, [("127.0.0.1", port)], tmp_path / "copy", 0.5)
        whole.clear(0, 5)  # what is here is not asked for again
        copy = await clone(whole.public_id, [("127.0.0.1", whole_port)], tmp_path / "copy", 60)
    assert (copy.length, copy.contiguous_length, copy.stored_bytes()) == (8, 8, 8_000)
    copy.close()


async def test_a_clone_goes_on_when_a_peer_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "REDIAL_SECONDS", 0.01)
    source, empty = author(3), Core.create()
    answer = Session._answer_open
    monkeypatch.setattr(Session, "_answer_open", lambda session, event: None)  # the link ends before an answer
    with trio.fail_after(60):
        async with serving(empty) as (peer, port), trio.open_nursery() as nursery:
            copies = []

            async def fetch() -> None:
                copies.append(await clone(source.public_id, [("127.0.0.1", port)], tmp_path / "copy", 60))

            nursery.start_soon(fetch)
            while not peer.sessions:
                await trio.lowlevel.checkpoint()
            (first,) = peer.sessions
            await first.established.wait()
            peer.add(source)
            monkeypatch.setattr(Session, "_answer_open", answer)
            await trio.aclose_forcefully(first._stream)
    assert copies[0].contiguous_length == 3
    copies[0].close()


async def test_a_core_that_no_peer_has_is_refused_as_soon_as_they_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication_module, "HEAD_SECONDS", float("inf"))
    with trio.fail_after(60):
        async with serving(author(1)) as (_, one), serving(author(1)) as (_, other):
            with pytest.raises(Refused, match=rf"127.0.0.1:{one} does not have yy+: check the key"):
                await clone("00" * 32, [("127.0.0.1", one)], tmp_path / "copy", 3_600)
            with pytest.raises(Refused, match=rf"127.0.0.1:{one}, 127.0.0.1:{other} do not have yy+"):
                await clone("00" * 32, [("127.0.0.1", one), ("127.0.0.1", other)], tmp_path / "copy", 3_600)
    assert os.listdir(tmp_path) == []


async def test_one_peer_that_has_a_core_is_enough(tmp_path: Path) -> None:
    source = author(3)
    async with serving(author(1)) as (_, without), serving(source) as (_, port):
        copy = await clone(source.public_id, [("127.0.0.1", without), ("127.0.0.1", port)], tmp_path / "copy", 60)
    assert copy.contiguous_length == 3
    copy.close()


async def test_a_whole_copy_needs_no_peer_that_has_the_core(tmp_path: Path) -> None:
    source = author(3)
    async with serving(source) as (_, port):
        (await clone(source.public_id, [("127.0.0.1", port)], tmp_path / "copy", 60)).close()
    async with serving(author(1)) as (_, port):
        copy = await clone(source.public_id, [("127.0.0.1", port)], tmp_path / "copy", 60)
    assert copy.contiguous_length == 3
    copy.close()


async def test_peers_that_do_not_say_what_they_have_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication_module, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(Session, "_answer_open", lambda session, event: None)
    async with serving(author(1)) as (_, port):
        with pytest.raises(Refused, match=r"no peer told of this core within 0.3 s .1 peers are connected"):
            await clone("00" * 32, [("127.0.0.1", port)], tmp_path / "copy", 0.3)
    assert os.listdir(tmp_path) == []
