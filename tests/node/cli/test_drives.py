"""`datdot drive` as a shell sees it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hypercore.io import replication as replication_module
from hypercore.io.lan import LOOPBACK, open_lan
from hypercore.io.replication import ReplicationTimeout, open_replication
from hypercore.io.session import Session
from node.cli import links, on_drive
from node.cli.main import app
from node.config import NOWHERE

DATDOT = [sys.executable, "-m", "node.cli"]
ROOT = Path(__file__).parents[3]


def drive(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["drive", *arguments], input=input)


def as_json(*arguments: str) -> dict[str, Any]:
    result = drive(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    (place / "deep" / "er").mkdir(parents=True)
    (place / "a.txt").write_text("0123456789")
    (place / "deep" / "er" / "b.bin").write_bytes(bytes(range(256)) * 1000)
    (place / "run").write_text("#!/bin/sh\n")
    (place / "run").chmod(0o755)
    (place / "link").symlink_to("a.txt")
    return place


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*DATDOT, "drive", *arguments, "--json"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found = json.loads(process.stdout.readline())
    assert isinstance(found, dict)
    return found


def test_a_file_is_written_listed_read_and_removed(tmp_path: Path, folder: Path) -> None:
    store = str(tmp_path / "store")
    made = as_json("put", store, "/a.txt", str(folder / "a.txt"))
    assert (made["version"], made["writable"]) == (2, True)
    assert as_json("put", store, "bin/run", str(folder / "run"), "--executable")["key"] == made["key"]
    assert drive("put", store, "/typed", "-", input="from a pipe").exit_code == 0
    assert [json.loads(line) for line in drive("ls", store, "--json").stdout.splitlines()] == [
        {"path": path, "bytes": size, "executable": executable, "linkname": None, "metadata": None}
        for path, size, executable in (("/a.txt", 10, False), ("/bin/run", 10, True), ("/typed", 11, False))
    ]
    assert drive("ls", store, "/bin").stdout.split() == ["x", "10", "/bin/run"]
    assert drive("get", store, "/typed").stdout == "from a pipe"
    assert drive("get", store, "/a.txt", "--start", "2", "--length", "3").stdout == "234"
    assert drive("get", store, "/a.txt", "--to", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out").read_text() == "0123456789"
    assert drive("rm", store, "/a.txt").exit_code == 0
    assert drive("get", store, "/a.txt").exit_code == 1
    assert drive("get", store, "/a.txt", "--version", "4").stdout == "0123456789"
    lines = [json.loads(line) for line in drive("history", store, "--json").stdout.splitlines()]
    assert [(line["event"], line["path"], line["version"]) for line in lines] == [
        ("put", "/a.txt", 2),
        ("put", "/bin/run", 3),
        ("put", "/typed", 4),
        ("delete", "/a.txt", 5),
    ]
    assert drive("history", store, "--reverse").stdout.splitlines()[0].split() == ["5", "delete", "/a.txt"]


def test_a_folder_goes_in_and_comes_out_again(tmp_path: Path, folder: Path) -> None:
    store, copy = str(tmp_path / "store"), tmp_path / "copy"
    assert as_json("mirror", store, "--from", str(folder))["added"] == 4
    assert as_json("mirror", store, "--from", str(folder))["same"] == 4
    (folder / "a.txt").unlink()
    assert as_json("mirror", store, "--from", str(folder), "--prune")["removed"] == 1
    out = as_json("mirror", store, "--to", str(copy), "--version", "5")
    assert (out["added"], out["skipped"]) == (4, [])
    assert (copy / "link").readlink() == Path("a.txt")
    assert (copy / "deep" / "er" / "b.bin").read_bytes() == (folder / "deep" / "er" / "b.bin").read_bytes()
    assert os.access(copy / "run", os.X_OK)
    assert as_json("mirror", store, "--to", str(copy), "--prune")["removed"] == 1


def test_a_served_drive_is_read_mirrored_and_watched_elsewhere(tmp_path: Path, folder: Path) -> None:
    store, reader = str(tmp_path / "store"), str(tmp_path / "reader")
    made = as_json("mirror", store, "--from", str(folder))
    with running("serve", store) as server:
        served = event(server)
        assert (served["event"], served["key"]) == ("serving", made["key"])
        remote = ("--key", made["id"], "--peer", f"127.0.0.1:{served['port']}")
        assert drive("get", reader, "/link", *remote).stdout == "0123456789"
        out = as_json("mirror", reader, "--to", str(tmp_path / "copy"), *remote)
        assert (out["added"], out["key"], out["writable"]) == (4, made["key"], False)
        with running("watch", str(tmp_path / "watcher"), *remote) as watcher:
            assert event(watcher)["version"] == made["version"]
    assert drive("get", reader, "/a.txt", "--key", made["key"], "--no-lan").stdout == "0123456789"
    assert as_json("info", reader, "--key", made["key"], "--no-lan")["content_key"] == made["content_key"]


@pytest.fixture
def lan_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process ask no other machine."""
    monkeypatch.setattr(links, "open_lan", partial(open_lan, [LOOPBACK]))


@pytest.mark.usefixtures("lan_on_loopback")
def test_a_reader_without_addresses_finds_who_serves_a_drive(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reader = str(tmp_path / "store"), str(tmp_path / "reader")
    made = as_json("mirror", store, "--from", str(folder))
    with running("serve", store) as server:
        assert event(server)["announced"] == ["lan"]
        assert drive("get", reader, "/link", "--key", made["key"]).stdout == "0123456789"
        out = as_json("mirror", reader, "--to", str(tmp_path / "copy"), "--key", made["id"])
        assert (out["added"], out["version"]) == (4, made["version"])
    monkeypatch.setattr(on_drive, "LAN_SECONDS", 0.01)
    assert drive("get", reader, "/a.txt", "--key", made["key"]).stdout == "0123456789"


@pytest.mark.usefixtures("lan_on_loopback")
def test_a_drive_that_nobody_serves_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_drive, "LAN_SECONDS", 0.01)
    refused = drive("ls", str(tmp_path / "reader"), "--key", "00" * 32)
    assert refused.exit_code == 1
    assert "nobody was found in 0.01 s who serves this drive" in refused.stderr
    assert not (tmp_path / "reader").exists()


def test_a_drive_that_no_named_peer_has_is_refused_as_soon_as_they_say_so(tmp_path: Path) -> None:
    as_json("put", str(tmp_path / "store"), "/a", str(Path(__file__)))
    with running("serve", str(tmp_path / "store"), "--no-lan") as server:
        port = event(server)["port"]
        remote = ("--key", "00" * 32, "--peer", f"127.0.0.1:{port}", "--timeout", "3600")
        refused = drive("ls", str(tmp_path / "reader"), *remote)
    assert refused.exit_code == 1
    assert re.search(rf"127.0.0.1:{port} does not have y+: check the key", refused.stderr)
    assert not (tmp_path / "reader").exists()


async def test_a_silent_peer_is_waited_for_as_long_as_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication_module, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(Session, "_answer_open", lambda session, event: None)
    async with open_replication() as silent:
        read = on_drive.Read("00" * 32, [f"127.0.0.1:{await silent.listen()}"], timeout=0.2)
        with pytest.raises(ReplicationTimeout, match=r"within 0.2 s: 1 links, 0 of them have this core"):
            async with on_drive.opened(tmp_path / "reader", read, NOWHERE):
                raise AssertionError("there is nothing to read")
    assert not (tmp_path / "reader").exists()


@pytest.mark.parametrize("value", ["0", "soon"])
def test_a_timeout_is_a_number_of_seconds(value: str) -> None:
    assert drive("ls", "store", "--timeout", value).exit_code == 2


def unread(pipe: FileIO) -> int:
    """Bytes that were written and not read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(
    ("options", "there_before", "says"),
    [
        ((), False, "stopped: nothing was written"),
        (("--encrypted",), False, "stopped: nothing was written"),
        ((), True, "stopped: what was written before is kept"),
    ],
)
def test_a_put_that_is_stopped_says_what_is_kept(
    tmp_path: Path, options: tuple[str, ...], there_before: bool, says: str
) -> None:
    store, pipe = tmp_path / "store", tmp_path / "pipe"
    os.mkfifo(pipe)
    if there_before:
        as_json("put", str(store), "/before", str(Path(__file__)))

    def stop() -> None:
        with pipe.open("wb", buffering=0) as typed:
            typed.write(b"begun, and then nothing more comes")
            while unread(typed):
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGINT)
            stopped.wait()

    stopped = threading.Event()
    stopping = threading.Thread(target=stop)
    stopping.start()
    refused = drive("put", str(store), "/a", str(pipe), *options)
    stopped.set()
    stopping.join()
    assert (refused.exit_code, refused.stderr) == (1, f"datdot: {says}\n")
    assert store.exists() == there_before


def test_a_store_is_not_left_behind_by_a_first_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert drive("put", str(tmp_path / "store"), "/a", str(tmp_path / "nowhere")).exit_code == 1
    assert not (tmp_path / "store").exists()


def test_a_drive_is_served_to_nobody_but_those_with_its_address(tmp_path: Path) -> None:
    as_json("put", str(tmp_path / "store"), "/a", str(Path(__file__)))
    with running("serve", str(tmp_path / "store"), "--no-lan") as server:
        assert event(server)["announced"] == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("ls", "{nowhere}"), "there is no store"),
        (("get", "{store}", "/missing"), "there is no file /missing"),
        (("rm", "{store}", "/missing"), "there is no /missing"),
        (("get", "{store}", "/../x"), "leads out of the drive"),
        (("get", "{store}", "/a", "--version", "99"), "there is no version 99 yet"),
        (("put", "{store}", "/", "{file}"), "names no file"),
        (("put", "{store}", "/x", "{nowhere}"), "No such file"),
        (("mirror", "{store}"), "--from LOCAL"),
        (("mirror", "{store}", "--from", "{file}", "--to", "{file}"), "--from LOCAL"),
        (("mirror", "{store}", "--from", "{file}"), "is not a folder"),
        (("mirror", "{store}", "--from", "{nowhere}", "--key", "x"), "do not go with it"),
        (("ls", "{store}", "--key", "short"), "a key is 32 bytes"),
        (("ls", "{other}", "--key", "00" * 32, "--no-lan"), "give --peer"),
        (("get", "{store}", "/a", "--version", "2"), "inside of a change of several files"),
        (("serve", "{store}", "--hyperswarm-bootstrap", "127.0.0.1:1"), "goes with --hyperswarm"),
        (("put", "{store}", "/\udcff", "{file}"), "is not text"),
        (("get", "{store}", "/\udcff"), "is not text"),
        (("ls", "{store}", "/\udcff"), "is not text"),
        (("serve", "{store}", "--host", "192.0.2.1", "--no-lan"), "cannot listen on 192.0.2.1:0: "),
        (("ls", "{store}", "--peer", "nowhere"), "is not HOST:PORT"),
        (("ls", "{store}", "--peer", "127.0.0.1:1"), "no peer answers"),
    ],
)
def test_refusals_are_one_sentence_and_exit_status_1(tmp_path: Path, arguments: tuple[str, ...], part: str) -> None:
    places = {name: str(tmp_path / name) for name in ("store", "other", "file", "nowhere")}
    Path(places["file"]).write_text("x")
    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "folder" / name).write_text("x")
    assert drive("mirror", places["store"], "--from", str(tmp_path / "folder")).exit_code == 0
    refused = drive(*(argument.format(**places) for argument in arguments))
    assert refused.exit_code == 1, refused.output
    assert refused.stderr.startswith("datdot: ")
    assert part in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_names_of_a_stranger_do_not_steer_the_terminal(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert drive("put", store, "/a\x1b[2Jb", "-", input="x").exit_code == 0
    assert "\x1b" not in drive("ls", store).stdout
    assert "\x1b" not in drive("history", store).stdout


def test_a_reader_with_an_older_copy_sees_what_its_peers_have_now(tmp_path: Path) -> None:
    store, copy = str(tmp_path / "store"), str(tmp_path / "copy")
    (tmp_path / "file").write_text("text")
    key = as_json("put", store, "/one", str(tmp_path / "file"))["key"]
    for name in ("/one", "/two", "/three"):
        as_json("put", store, name, str(tmp_path / "file"))
        with running("serve", store) as server:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["port"]
            listed = drive("ls", copy, "--key", key, "--peer", f"127.0.0.1:{port}")
        assert listed.exit_code == 0, listed.output
        assert name in listed.stdout


def test_an_encrypted_drive_is_read_with_its_key_only(tmp_path: Path, folder: Path) -> None:
    store = tmp_path / "store"
    made = as_json("mirror", str(store), "--from", str(folder), "--encrypted")
    assert made["encrypted"]
    for data in store.rglob("data"):
        assert b"a.txt" not in data.read_bytes()
        assert b"0123456789" not in data.read_bytes()
    assert drive("get", str(store), "/a.txt").stdout == "0123456789"
    key = (store / "encryption-key").rename(tmp_path / "key")
    assert drive("get", str(store), "/a.txt", "--encryption-key", str(key)).stdout == "0123456789"
    refused = drive("get", str(store), "/a.txt")
    assert refused.exit_code == 1
    assert "is encrypted: see --encryption-key" in refused.stderr
    (tmp_path / "other").write_text("00" * 32)
    refused = drive("ls", str(store), "--encryption-key", str(tmp_path / "other"))
    assert "has another encryption key" in refused.stderr
    as_json("put", str(tmp_path / "plain"), "/a", str(folder / "a.txt"))
    refused = drive("put", str(tmp_path / "plain"), "/b", str(folder / "a.txt"), "--encrypted")
    assert "is there already, and not encrypted" in refused.stderr


def test_a_file_that_cannot_be_read_whole_leaves_no_part_of_it(tmp_path: Path) -> None:
    store, target = str(tmp_path / "store"), tmp_path / "out"
    (tmp_path / "file").write_bytes(bytes(300_000))
    content_key = as_json("put", store, "/file", str(tmp_path / "file"))["content_key"]
    damage_last_block(tmp_path / "store", content_key)
    target.write_text("as it was")
    assert drive("get", store, "/file", "--to", str(target)).exit_code == 1
    assert target.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out", "store"]


def damage_last_block(store: Path, content_key: str) -> None:
    for about in store.glob("cores/*/about"):
        if json.loads(about.read_text())["key"] == content_key:
            data = about.with_name("data")
            data.write_bytes(data.read_bytes()[:-1] + b"\xff")
