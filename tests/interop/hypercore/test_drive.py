"""Hyperdrive against the unmodified npm package: a real folder, compared file by file in both directions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from hypercore.io.drive_mirror import mirror_in, mirror_out
from tests.interop.node import Script, run_script

SCRIPT = Path(__file__).parent / "drive.mjs"
LARGE = bool(os.environ.get("DATDOT_LARGE_TESTS"))
"""Set by `make test-large`: the whole Python standard library instead of its first few megabytes."""

PATIENCE_SECONDS = 400 if LARGE else 60
STANDARD_LIBRARY_BYTES = 1 << 40 if LARGE else 16 << 20
NOT_PYTHONS_OWN = {"site-packages", "dist-packages", "__pycache__"}

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Python standard library's `json` package, an executable, a file of many blocks and an empty one."""
    copy = tmp_path / "folder"
    for source in Path(json.__file__).parent.rglob("*"):
        if source.is_file():
            target = copy / source.relative_to(Path(json.__file__).parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    (copy / "bin").mkdir()
    (copy / "bin" / "run").write_text("#!/bin/sh\n")
    (copy / "bin" / "run").chmod(0o755)
    (copy / "large.bin").write_bytes(bytes(range(251)) * 2000)
    (copy / "empty").touch()
    return copy


@pytest.fixture
def standard_library(tmp_path: Path) -> Path:
    """A copy of the files of the Python standard library, in the order of their names, up to so many bytes."""
    root, copy, left = Path(sysconfig.get_path("stdlib")), tmp_path / "library", STANDARD_LIBRARY_BYTES
    for source in sorted(root.rglob("*")):
        relative = source.relative_to(root)
        if source.is_symlink() or not source.is_file() or NOT_PYTHONS_OWN & set(relative.parts):
            continue
        size = source.stat().st_size
        if size > left:
            continue
        left -= size
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy / relative)
    return copy


def local_files(folder: Path) -> dict[str, tuple[bool, bytes]]:
    return {
        "/" + path.relative_to(folder).as_posix(): (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def files_of(script: Script) -> dict[str, list[Any]]:
    await script.write(files=True)
    return {path: rest for path, *rest in (await script.line())["files"]}


@asynccontextmanager
async def javascript_drive(store: Corestore) -> AsyncIterator[tuple[Script, Drive]]:
    """An empty drive of JavaScript, and a reader of it in Python."""
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT) as script, store.replicate() as replication:
            hello = await script.line()
            await replication.connect("127.0.0.1", hello["port"])
            async with Drive(store, hello["key"]) as drive:
                yield script, drive


@asynccontextmanager
async def javascript_reader(store: Corestore, drive: Drive) -> AsyncIterator[Script]:
    with trio.fail_after(PATIENCE_SECONDS):
        async with store.replicate() as replication:
            where = ["--key", drive.key.hex(), "--dial", f"127.0.0.1:{await replication.listen()}"]
            async with run_script(SCRIPT, where) as script:
                await script.write(version=drive.version)
                assert await script.line() == {"version": drive.version}
                yield script


async def test_a_folder_that_javascript_wrote_is_mirrored_out_file_by_file(tmp_path: Path, folder: Path) -> None:
    async with javascript_drive(Corestore(tmp_path / "store")) as (script, drive):
        await script.write(**{"import": str(folder)})
        version = (await script.line())["version"]
        assert await drive.update(version) == version
        report = await mirror_out(drive, tmp_path / "copy")
        assert (report.added, report.skipped) == (len(local_files(folder)), [])
        assert local_files(tmp_path / "copy") == local_files(folder)


async def test_a_folder_that_python_wrote_is_read_by_javascript_file_by_file(tmp_path: Path, folder: Path) -> None:
    async with Corestore(tmp_path / "store") as store, Drive(store) as drive:
        (folder / "link").symlink_to("bin/run")
        assert (await mirror_in(drive, folder)).skipped == []
        (folder / "link").unlink()
        async with javascript_reader(store, drive) as script:
            seen = await files_of(script)
            assert seen.pop("/link") == [False, "bin/run", None, None]
            assert seen == {
                path: [executable, None, None, hashlib.sha256(data).hexdigest()]
                for path, (executable, data) in local_files(folder).items()
            }


async def test_the_standard_library_goes_through_javascript_and_comes_out_the_same(
    tmp_path: Path, standard_library: Path
) -> None:
    expected = local_files(standard_library)
    async with javascript_drive(Corestore(tmp_path / "store")) as (script, drive):
        await script.write(**{"import": str(standard_library)})
        assert await drive.update((await script.line())["version"])
        report = await mirror_out(drive, tmp_path / "copy")
    assert (report.added, report.skipped) == (len(expected), [])
    assert len(expected) > 100
    copied = local_files(tmp_path / "copy")
    assert [path for path in sorted(expected | copied) if expected.get(path) != copied.get(path)] == []


async def test_the_standard_library_goes_through_python_and_javascript_writes_it_out_the_same(
    tmp_path: Path, standard_library: Path
) -> None:
    expected = local_files(standard_library)
    async with Corestore(tmp_path / "store") as store, Drive(store) as drive:
        report = await mirror_in(drive, standard_library)
        assert (report.added, report.skipped) == (len(expected), [])
        async with javascript_reader(store, drive) as script:
            await script.write(export=str(tmp_path / "copy"))
            assert await script.line() == {"exported": len(expected)}
    copied = local_files(tmp_path / "copy")
    assert [path for path in sorted(expected | copied) if expected.get(path) != copied.get(path)] == []


async def test_one_primary_key_gives_both_the_same_drive() -> None:
    drive = Drive(Corestore(None, bytes(range(32))))
    with trio.fail_after(PATIENCE_SECONDS):
        async with run_script(SCRIPT, ["--primary-key", bytes(range(32)).hex()]) as script:
            hello = await script.line()
    assert (hello["key"], hello["contentKey"]) == (drive.key.hex(), (await drive.contents()).log.key.hex())


async def test_links_metadata_ranges_versions_and_deletes_of_javascript(tmp_path: Path) -> None:
    async with javascript_drive(Corestore()) as (script, drive):
        await script.write(put="/a.txt", text="0123456789", options={"executable": True, "metadata": {"n": [1, None]}})
        await script.line()
        await script.write(symlink="/link", target="/a.txt")
        await script.line()
        await script.write(put="/gone", text="x", options={})
        before = (await script.line())["version"]
        await script.write(**{"del": "/gone"})
        version = (await script.line())["version"]
        await drive.update(version)
        entry = await drive.entry("/a.txt")
        assert entry is not None
        assert (entry.executable, entry.metadata) == (True, {"n": [1, None]})
        assert b"".join([part async for part in drive.read("/link", start=3, length=4, follow=True)]) == b"3456"
        assert await drive.checkout(before).get("/gone") == b"x"
        assert not await drive.exists("/gone")
        assert [(change.kind, change.path) async for change in drive.differences(before)] == [("delete", "/gone")]


async def test_a_deduplicated_file_of_javascript(tmp_path: Path) -> None:
    parts = [bytes([number]) * 1000 for number in (1, 2, 1, 3, 2)]
    async with javascript_drive(Corestore()) as (script, drive):
        await script.write(dedup="/twice", blocks=[part.hex() for part in parts])
        version = (await script.line())["version"]
        assert await drive.update(version) == version
        entry = await drive.entry("/twice")
        assert entry is not None
        assert entry.blob is not None
        assert entry.blob.block_map
        assert await drive.size(entry) == 5000
        assert await drive.get("/twice") == b"".join(parts)
        assert (
            b"".join([part async for part in drive.read("/twice", start=1999, length=1002)])
            == b"".join(parts)[1999:3001]
        )


async def test_javascript_follows_ranges_versions_and_live_changes_of_python() -> None:
    store = Corestore()
    drive = Drive(store)
    await drive.put("/a.txt", b"0123456789", metadata={"n": 1})
    await drive.put("/gone", b"x")
    version = drive.version
    await drive.delete("/gone")
    async with javascript_reader(store, drive) as script:
        await script.write(range="/a.txt", start=3, length=4)
        assert await script.line() == {"text": "3456"}
        await script.write(checkout=version, path="/gone")
        assert await script.line() == {"text": "x"}
        await script.write(checkout=drive.version, path="/gone")
        assert await script.line() == {"text": None}
        await drive.put("/live", b"now")
        await script.write(version=drive.version)
        await script.line()
        assert set(await files_of(script)) == {"/a.txt", "/live"}
