"""Folders and encrypted cores, hosted: read back in both languages, from hosters that need not understand them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from hypercore.io.drive_mirror import mirror_out
from tests.e2e.processes import Line, Program, datdot, javascript, read_with_javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

PATIENCE_SECONDS = 120
FILES = {
    "index.html": b"<h1>hello</h1>",
    "deep/er/large.bin": random.Random(5).randbytes(3 * 65_536 + 17),
    "deep/na\u00efve \u2014 \u00fcn\u00efc\u00f6d\u00e9.txt": b"text",
    "empty": b"",
}
SECRET = b"a line that nobody but its readers may see\n" * 4_000


@dataclass
class Hosted:
    """A market that hosts a folder and an encrypted core, whose author is gone."""

    program: Program
    data: Path
    folder: Path
    drive: Line
    secret: Line
    key_file: Path


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    home = tmp_path_factory.mktemp("folders")
    folder, author, data = home / "folder", home / "author", home / "data"
    write_folder(folder)
    (home / "secret").write_bytes(SECRET)
    for command in (("create", author, "--encrypted"), ("append", author, home / "secret")):
        with datdot("core", *command) as done:
            assert done.exit_status() == 0, done.tail()
    options = ("--data", data, "--block-time", 0.5, "--json", "--rpc-port", 0, "--app-port", 0)
    with datdot("core", "serve", author, "--json") as serving:
        hello = serving.event("serving")
        source = f"{hello['key']}@{hello['host']}:{hello['port']}"
        with datdot("dev", "--share", folder, "--share", source, *options) as program:
            drive = program.event("drive_available", PATIENCE_SECONDS)
            secret = program.event("available", PATIENCE_SECONDS, key=hello["key"])
            assert serving.stop() == 0
            yield Hosted(program, data, folder, drive, secret, author / "encryption-key")
            assert program.stop() == 0
            assert program.log == []


def write_folder(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "bare").mkdir()
    (folder / "deep" / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "deep" / "run").chmod(0o755)
    (folder / "link").symlink_to("deep/er/large.bin")


def contents(folder: Path) -> dict[str, tuple[bool, str | bytes]]:
    """What a drive keeps of a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): (False, str(path.readlink()))
        if path.is_symlink()
        else (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def addresses(line: Line) -> list[str]:
    return [f"{peer['host']}:{peer['port']}" for peer in line["peers"]]


def test_the_events_of_both_cores_name_their_drive(hosted: Hosted) -> None:
    drive = {"key": hosted.drive["key"], "z32": hosted.drive["z32"]}
    for name in ("feed_published", "plan_published", "available"):
        of_drive = [line for line in hosted.program.events(name) if "drive" in line]
        assert [line["drive"] for line in of_drive] == [drive, drive]
        assert len(hosted.program.events(name)) == 3
    contents_core, entries_core = (line for line in hosted.program.events("available") if "drive" in line)
    assert entries_core["key"] == hosted.drive["key"] != contents_core["key"]
    assert {*addresses(contents_core), *addresses(entries_core)} == set(addresses(hosted.drive))
    (read,) = hosted.program.events("folder_read")
    assert (read["files"], read["left_out"], read["version"]) == (6, [], hosted.drive["version"])


async def test_a_python_hyperdrive_gets_every_file_from_the_hosters(hosted: Hosted, tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with Corestore() as store, store.replicate() as replication, Drive(store, hosted.drive["key"]) as drive:
            for peer in hosted.drive["peers"]:
                await replication.connect(peer["host"], peer["port"])
            assert await drive.update(hosted.drive["version"]) == hosted.drive["version"]
            report = await mirror_out(drive, tmp_path / "copy")
    assert report.skipped == []
    assert contents(tmp_path / "copy") == contents(hosted.folder)


def test_a_javascript_hyperdrive_gets_every_file_from_the_hosters(hosted: Hosted) -> None:
    where = ("--key", hosted.drive["key"], "--dial", ",".join(addresses(hosted.drive)))
    with javascript("drive.mjs", *where) as reader:
        reader.write(version=hosted.drive["version"])
        reader.line(lambda line: line.get("version") == hosted.drive["version"])
        reader.write(files=True)
        files = reader.line(lambda line: "files" in line)["files"]
    seen = {path.removeprefix("/"): (executable, linkname or digest) for path, executable, linkname, _, digest in files}
    assert seen == {
        path: (executable, hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else content)
        for path, (executable, content) in contents(hosted.folder).items()
    }


def test_the_command_that_a_person_is_told_mirrors_the_folder(hosted: Hosted, tmp_path: Path) -> None:
    peers = [option for address in addresses(hosted.drive) for option in ("--peer", address)]
    target = ("--to", tmp_path / "copy", "--json")
    with datdot("drive", "mirror", tmp_path / "store", "--key", hosted.drive["z32"], *peers, *target) as mirror:
        assert mirror.exit_status() == 0, mirror.tail()
    assert contents(tmp_path / "copy") == contents(hosted.folder)


def test_no_hoster_of_an_encrypted_core_holds_a_word_of_it(hosted: Hosted) -> None:
    looked_at = 0
    for path in (hosted.data / "accounts").rglob("*"):
        if path.is_file():
            looked_at += path.stat().st_size
            assert SECRET[:43] not in path.read_bytes(), path
    assert looked_at > 3 * len(SECRET)  # three sealed copies were among it


def test_a_reader_without_the_key_gets_ciphertext_and_one_with_it_everything(hosted: Hosted, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with datdot("core", "clone", hosted.secret["key"], *addresses(hosted.secret), "--to", copy, "--json") as clone:
        assert clone.exit_status() == 0, clone.tail()
        assert clone.line(lambda line: True)["bytes"] == hosted.secret["bytes"] > len(SECRET)
    with datdot("core", "cat", copy, "--encryption-key", hosted.key_file) as reader:
        assert reader.exit_status() == 0, reader.tail()
        assert "".join(f"{line}\n" for line in map(str.rstrip, reader.not_json)).encode() == SECRET
    with datdot("core", "check", copy, "--json") as check:
        assert check.exit_status() == 0
    assert SECRET[:43] not in (copy / "data").read_bytes()


def test_javascript_reads_the_encrypted_core_with_its_key(hosted: Hosted) -> None:
    result = read_with_javascript(hosted.secret, "--encryption-key", hosted.key_file)
    assert (result["bytes"], result["sha256"]) == (len(SECRET), hashlib.sha256(SECRET).hexdigest())
    assert read_with_javascript(hosted.secret)["sha256"] == hosted.secret["sha256"] != result["sha256"]
