"""Mirroring: only differences are written, and a hostile drive writes nothing outside of the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypercore.drive import Blob, DriveEntry
from hypercore.errors import DecodeError
from hypercore.io import drive_mirror
from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from hypercore.io.drive_mirror import mirror_in, mirror_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    (place / "deep").mkdir(parents=True)
    (place / "a").write_bytes(b"one")
    (place / "deep" / "b").write_bytes(bytes(200_000))
    (place / "run").write_bytes(b"#!")
    (place / "run").chmod(0o755)
    (place / "deep" / "link").symlink_to("../a")
    return place


def names_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def snapshot(folder: Path) -> dict[str, object]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else (path.read_bytes(), os.access(path, os.X_OK))
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


async def test_a_folder_comes_back_as_it_was(tmp_path: Path, folder: Path) -> None:
    drive = Drive(Corestore())
    report = await mirror_in(drive, folder)
    assert (report.added, report.files, report.bytes_written) == (4, 4, 200_005)
    out = await mirror_out(drive, tmp_path / "copy")
    assert (out.added, out.bytes_written, out.skipped) == (4, 200_005, [])
    assert snapshot(tmp_path / "copy") == snapshot(folder)


async def test_only_what_differs_is_written(tmp_path: Path, folder: Path) -> None:
    drive = Drive(Corestore())
    await mirror_in(drive, folder)
    await mirror_out(drive, tmp_path / "copy")
    version = drive.version
    again = await mirror_in(drive, folder)
    assert (again.same, again.bytes_written, drive.version) == (4, 0, version)
    assert (await mirror_out(drive, tmp_path / "copy")).same == 4
    (folder / "a").write_bytes(b"two")
    (folder / "run").chmod(0o644)
    (folder / "deep" / "link").unlink()
    (folder / "deep" / "link").symlink_to("b")
    changed = await mirror_in(drive, folder)
    assert (changed.same, changed.changed, changed.bytes_written) == (1, 3, 3)
    out = await mirror_out(drive, tmp_path / "copy")
    assert (out.same, out.changed, out.bytes_written) == (1, 3, 3)
    assert snapshot(tmp_path / "copy") == snapshot(folder)


async def test_pruning_removes_what_the_other_side_lacks(tmp_path: Path, folder: Path) -> None:
    drive = Drive(Corestore())
    await drive.put("/elsewhere", b"stays")
    await mirror_in(drive, folder, "/in")
    (folder / "a").unlink()
    assert (await mirror_in(drive, folder, "/in")).removed == 0
    assert (await mirror_in(drive, folder, "/in", prune=True)).removed == 1
    assert [path async for path, _ in drive.list()] == ["/elsewhere", "/in/deep/b", "/in/deep/link", "/in/run"]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "local").write_bytes(b"")
    assert (await mirror_out(drive, tmp_path / "copy", "/in")).removed == 0
    assert (await mirror_out(drive, tmp_path / "copy", "/in", prune=True)).removed == 1
    assert snapshot(tmp_path / "copy") == snapshot(folder)


async def test_large_folders_change_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_mirror, "ENTRIES_PER_CHANGE", 3)
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    drive = Drive(Corestore())
    assert (await mirror_in(drive, tmp_path)).added == 10
    assert len([path async for path, _ in drive.list()]) == 10


async def test_metadata_survives_a_new_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    drive = Drive(Corestore())
    await drive.put("/a", b"old", metadata={"type": "text/plain"})
    await mirror_in(drive, tmp_path)
    entry = await drive.entry("/a")
    assert entry is not None
    assert (entry.metadata, await drive.get("/a")) == ({"type": "text/plain"}, b"new")


async def test_local_things_that_a_drive_cannot_hold_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a\\b").write_bytes(b"")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    (tmp_path / "good").write_bytes(b"")
    report = await mirror_in(Drive(Corestore()), tmp_path)
    assert report.added == 1
    reasons = sorted(line.partition(": ")[2] for line in report.skipped)
    assert reasons == [
        "a backslash would separate folders in a drive",
        "its name is not UTF-8",
        "neither a file nor a link",
    ]


async def test_links_to_the_root_of_the_folder_become_links_to_the_root_of_the_drive(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a").write_bytes(b"one")
    (tmp_path / "in" / "deep" / "link").symlink_to(tmp_path / "in" / "a")
    drive = Drive(Corestore())
    await mirror_in(drive, tmp_path / "in")
    entry = await drive.entry("/deep/link")
    assert entry is not None
    assert entry.linkname == "/a"
    await mirror_out(drive, tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "link").readlink() == Path("../a")
    assert (tmp_path / "out" / "deep" / "link").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["/../escape", "/a/../../escape", "//escape", "/a/./b", "/a\0b", "/a/"])
async def test_names_that_lead_elsewhere_are_left_out(tmp_path: Path, name: str) -> None:
    drive = Drive(Corestore())
    entry = await drive.put("/good", b"x")
    await drive.bee.sub("files").put(name, entry.encode())
    report = await mirror_out(drive, tmp_path / "in" / "out")
    assert len(report.skipped) == 1
    assert names_below(tmp_path) == ["good", "in", "out"]


@pytest.mark.parametrize("target", ["../outside", "/../outside", "a/../../outside", "deep/..", "", "x\0y"])
async def test_links_that_lead_out_of_the_folder_are_left_out(tmp_path: Path, target: str) -> None:
    drive = Drive(Corestore())
    await drive.symlink("/link", target)
    report = await mirror_out(drive, tmp_path / "out")
    landed = tmp_path / "out" / "link"
    if report.skipped:
        assert not landed.is_symlink()
    else:
        assert (tmp_path / "out") in landed.resolve().parents


async def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "door").symlink_to(outside)
    (tmp_path / "out" / "file").symlink_to(outside / "victim")
    (outside / "victim").write_bytes(b"untouched")
    drive = Drive(Corestore())
    await drive.put("/door/escape", b"x")
    await drive.put("/file", b"x")
    report = await mirror_out(drive, tmp_path / "out")
    assert report.skipped == ["/door/escape: door is a file or a link and not a folder"]
    assert [path.name for path in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_bytes() == b"untouched"
    assert (tmp_path / "out" / "file").read_bytes() == b"x"


async def test_a_file_and_a_folder_of_one_name_do_not_both_fit(tmp_path: Path) -> None:
    drive = Drive(Corestore())
    await drive.put("/a", b"file")
    await drive.put("/a/b", b"below")
    report = await mirror_out(drive, tmp_path / "one")
    assert report.skipped == ["/a/b: a is a file or a link and not a folder"]
    (tmp_path / "two" / "a").mkdir(parents=True)
    assert (await mirror_out(drive, tmp_path / "two")).skipped == ["/a: a folder is in its place"]


async def test_an_entry_without_anything_is_left_out(tmp_path: Path) -> None:
    drive = Drive(Corestore())
    await drive.change({"/nothing": DriveEntry()})
    assert (await mirror_out(drive, tmp_path)).skipped == ["/nothing: neither a file nor a link"]


async def test_a_broken_content_leaves_no_half_file(tmp_path: Path) -> None:
    drive = Drive(Corestore())
    await drive.put("/good", b"x")
    await drive.change({"/broken": DriveEntry(blob=Blob(0, 0, 1, 5))})
    with pytest.raises(DecodeError):
        await mirror_out(drive, tmp_path)
    assert names_below(tmp_path) == []


async def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await mirror_in(Drive(Corestore()), tmp_path / "nowhere")


async def test_pruning_lets_files_become_folders_and_folders_files(tmp_path: Path) -> None:
    drive, copy = Drive(Corestore()), tmp_path / "copy"
    for path in ("/folder/one", "/folder/deep/two", "/file", "/link-to-be-a-folder", "/alone/three"):
        await drive.put(path, b"before")
    await mirror_out(drive, copy)
    (copy / "mine").mkdir()
    for path in ("/folder/one", "/folder/deep/two", "/file", "/link-to-be-a-folder", "/alone/three"):
        await drive.delete(path)
    await drive.put("/folder", b"after")
    await drive.put("/file/inside", b"after")
    await drive.symlink("/link-to-be-a-folder/link", "../folder")
    report = await mirror_out(drive, copy, prune=True)
    assert (report.removed, report.added, report.skipped) == (5, 3, [])
    assert (copy / "folder").read_bytes() == (copy / "file" / "inside").read_bytes() == b"after"
    assert names_below(copy) == ["file", "folder", "inside", "link", "link-to-be-a-folder", "mine"]
    assert (await mirror_out(drive, copy, prune=True)).same == 3


async def test_pruning_removes_nothing_outside_of_the_folder(tmp_path: Path) -> None:
    drive, copy, outside = Drive(Corestore()), tmp_path / "copy", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    copy.mkdir()
    (copy / "link").symlink_to(outside)
    report = await mirror_out(drive, copy, prune=True)
    assert (report.removed, names_below(outside), names_below(copy)) == (1, ["kept"], [])
    assert copy.is_dir()
