"""A folder that is shared: what goes into its drive, what is refused, and what a later run makes of a changed one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from node.keys.derivation import keypair_from_uri
from node.roles.share_events import (
    Available,
    DriveAvailable,
    FeedPublished,
    FolderChanged,
    FolderRead,
    NothingToHost,
    Peer,
    PlanPublished,
    Sealing,
    ShareEvent,
)
from node.roles.share_source import FolderSource, open_source
from node.roles.shared_core import Share, ShareRefused
from node.roles.sponsor import Sponsor

from .world import Market, staffed_market

ACCOUNT = keypair_from_uri("//Sponsor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    (place / "deep" / "er").mkdir(parents=True)
    (place / "bare").mkdir()
    (place / "text").write_bytes(b"0123456789")
    (place / "deep" / "er" / "large").write_bytes(hashlib.shake_256(b"large").digest(100_000))
    (place / "empty").touch()
    (place / "link").symlink_to("deep/er/large")
    return place


async def opened(folder: Path, *, published: bool = False) -> Share:
    return await open_source(FolderSource(folder), folder.parent / "shares", ACCOUNT, lambda key: published)


async def files_of(directory: Path) -> dict[str, bytes | str | None]:
    async with Corestore(directory / only(os.listdir(directory)) / "store") as store, Drive(store) as drive:
        return {path: entry.linkname or await drive.get(path) async for path, entry in drive.list()}


def only(names: list[str]) -> str:
    (name,) = names
    return name


async def share(market: Market, folder: Path) -> list[ShareEvent]:
    home = folder.parent / "shares"
    async with market.endpoint("Sponsor") as endpoint, Sponsor.start(home, endpoint, market.chain) as sponsor:
        return [event async for event in sponsor.share(str(folder), duration_blocks=5_000)]


def of_kind(events: list[ShareEvent], kind: type[ShareEvent]) -> list[dict[str, Any]]:
    return [event.values() for event in events if type(event) is kind]


async def test_both_cores_of_a_folder_become_available_and_a_second_run_goes_on(tmp_path: Path, folder: Path) -> None:
    async with staffed_market(tmp_path) as market:
        events = await share(market, folder)
        feeds, plans = of_kind(events, FeedPublished), of_kind(events, PlanPublished)
        available, (whole,) = of_kind(events, Available), of_kind(events, DriveAvailable)
        assert [feed["key"] for feed in feeds] == [core["key"] for core in available]
        assert [core["length"] for core in available] == [3, 5]  # contents; header, three files and a link
        drive = {"key": whole["key"], "z32": whole["z32"]}
        assert all(line["drive"] == drive for line in (*feeds, *plans, *available))
        assert feeds[1]["key"] == whole["key"]
        hosters = [event.peers for event in events if isinstance(event, Available)]
        assert set(hosters[0]) | set(hosters[1]) == {Peer(**peer) for peer in whole["peers"]}
        assert Sealing(24, 24) in events

        (folder / "text").write_bytes(b"changed")
        (folder / "added").write_bytes(b"added")
        (folder / "empty").unlink()
        again = await share(market, folder)
        (changed,) = of_kind(again, FolderChanged)
        assert (changed["added"], changed["changed"], changed["removed"]) == (1, 1, 1)
        assert of_kind(again, FeedPublished) == feeds
        assert [plan["plan"] for plan in of_kind(again, PlanPublished)] == [plan["plan"] for plan in plans]
        assert of_kind(again, Available) == available


async def test_a_folder_of_empty_files_and_links_has_one_core_to_host(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "link").symlink_to("empty")
    async with staffed_market(tmp_path) as market:
        events = await share(market, folder)
    (entries,) = of_kind(events, Available)
    (nothing,) = of_kind(events, NothingToHost)
    (whole,) = of_kind(events, DriveAvailable)
    assert entries["key"] == whole["key"]
    assert nothing["key"] != whole["key"]
    assert whole["peers"] == entries["peers"]


async def test_a_drive_holds_files_and_links_of_all_depths_and_no_empty_folders(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    shared = await opened(folder)
    (read,) = shared.news
    assert isinstance(read, FolderRead)
    assert (read.files, read.bytes, read.left_out) == (4, 100_010, ("pipe: neither a file nor a link",))
    shared.close()
    assert await files_of(tmp_path / "shares") == {
        "/text": b"0123456789",
        "/deep/er/large": hashlib.shake_256(b"large").digest(100_000),
        "/empty": b"",
        "/link": "deep/er/large",
    }


async def test_until_it_is_published_a_drive_follows_its_folder(tmp_path: Path, folder: Path) -> None:
    first = await opened(folder)
    first.close()
    (folder / "text").unlink()
    second = await opened(folder)
    second.close()
    assert first.drive == second.drive
    assert set(await files_of(tmp_path / "shares")) == {"/deep/er/large", "/empty", "/link"}


async def test_a_published_drive_stays_as_it_is(tmp_path: Path, folder: Path) -> None:
    first = await opened(folder)
    first.close()
    assert (await reopened_news(folder)) == ()
    (folder / "text").write_bytes(b"9876543210")
    (changed,) = await reopened_news(folder)
    assert isinstance(changed, FolderChanged)
    assert (changed.added, changed.changed, changed.removed) == (0, 1, 0)
    assert (await files_of(tmp_path / "shares"))["/text"] == b"0123456789"


async def reopened_news(folder: Path) -> tuple[ShareEvent, ...]:
    shared = await opened(folder, published=True)
    shared.close()
    return shared.news


async def test_two_folders_of_the_same_content_are_two_drives(tmp_path: Path) -> None:
    drives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"same")
        shared = await opened(tmp_path / name)
        drives.append(shared.drive)
        shared.close()
    assert drives[0] != drives[1]


async def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    with pytest.raises(ShareRefused, match="holds no files: there is nothing to host"):
        await opened(tmp_path / "folder")
    os.mkfifo(tmp_path / "folder" / "pipe")
    with pytest.raises(ShareRefused, match=r"no file that a drive can hold .pipe: neither a file nor a link"):
        await opened(tmp_path / "folder")


async def test_a_folder_that_holds_the_data_of_the_market_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ShareRefused, match="keep --data outside of the folder"):
        await open_source(FolderSource(folder), folder / "data" / "shares", ACCOUNT)


async def test_a_folder_is_shared_once_at_a_time(folder: Path) -> None:
    first = await opened(folder)
    with pytest.raises(ShareRefused, match="is being shared already"):
        await opened(folder)
    first.close()


async def test_a_file_that_cannot_be_read_is_named_and_nothing_is_shared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deny(path: Path, mode: str) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("trio.open_file", deny)
        with pytest.raises(ShareRefused, match=r"cannot be shared: Permission denied: .*/deep/er/large"):
            await opened(folder)
    (await opened(folder)).close()  # nothing is left locked
