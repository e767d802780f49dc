"""Sharing: what becomes of a file or a served core, what is told meanwhile, and what is refused."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from node.keys.derivation import keypair_from_uri
from node.roles import limits
from node.roles.fetcher import FetchFailed
from node.roles.read_back import read_back
from node.roles.share_events import (
    Available,
    FeedPublished,
    HostingStarted,
    PlanPublished,
    Sealing,
    ShareEvent,
    WaitingForProviders,
)
from node.roles.share_source import CoreSource, FileSource, FolderSource, Source, open_source, parse_source
from node.roles.shared_core import SharedCore, ShareRefused
from node.roles.sponsor import Sponsor

from .world import Market, open_market, small_core, staffed_market

KEY = "11" * 32
ACCOUNT = keypair_from_uri("//Sponsor")


async def share(market: Market, source: str, directory: Path) -> list[ShareEvent]:
    events = []
    async with market.endpoint("Sponsor") as endpoint, Sponsor.start(directory, endpoint, market.chain) as sponsor:
        async for event in sponsor.share(source, duration_blocks=5_000):
            events.append(event)
    return events


async def open_core(source: Source, directory: Path) -> SharedCore:
    """What a source of one core becomes."""
    (shared,) = (await open_source(source, directory, ACCOUNT)).cores
    return shared


async def test_shared_file_becomes_available_from_its_hosters(tmp_path: Path) -> None:
    content = hashlib.shake_256(b"file").digest(150_000)
    file = tmp_path / "file"
    file.write_bytes(content)
    async with staffed_market(tmp_path) as market:
        events = await share(market, str(file), tmp_path / "shares")
        feed, plan, available = events[0], events[1], events[-1]
        assert isinstance(feed, FeedPublished)
        assert feed.length == 3
        assert isinstance(plan, PlanPublished)
        assert plan.contracts == 1
        assert isinstance(available, Available)
        assert available.sha256 == hashlib.sha256(content).hexdigest()
        assert (available.length, available.bytes, available.key) == (3, 150_000, feed.key)
        assert len([event for event in events if isinstance(event, HostingStarted)]) == 3
        assert Sealing(9, 9) in events
        assert len(available.peers) == 3
        again = await share(market, str(file), tmp_path / "shares")
        assert again[:2] == [feed, PlanPublished(plan.plan, 1, again[1].values()["escrow"])]
        assert again[-1] == available


async def test_a_market_without_free_providers_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    told = []
    async with (
        open_market(tmp_path, "Sponsor") as market,
        market.endpoint("Sponsor") as endpoint,
        Sponsor.start(tmp_path / "shares", endpoint, market.chain) as sponsor,
        aclosing(sponsor.share(str(file), duration_blocks=5_000)) as events,  # type: ignore[type-var]
    ):
        with trio.fail_after(60):
            async for event in events:
                told.append(event)
                if isinstance(event, WaitingForProviders):
                    break
    assert [type(event) for event in told] == [FeedPublished, PlanPublished, WaitingForProviders]
    assert told[-1].values() == {"contracts": 1}


async def test_core_of_somebody_else_is_copied_whole(tmp_path: Path) -> None:
    core = small_core(4)
    async with open_replication() as author:
        author.add(core)
        port = await author.listen()
        source = parse_source(f"{core.public_id}@127.0.0.1:{port}")
        assert source == CoreSource(core.key, "127.0.0.1", port)
        shared = await open_core(source, tmp_path)
        with pytest.raises(ShareRefused, match="being shared already"):
            await open_source(source, tmp_path, ACCOUNT)
    assert shared.core.signed_head() == core.signed_head()
    assert shared.sha256 == hashlib.sha256(b"".join(core.get(index) for index in range(4))).digest()
    assert shared.core.contiguous_length == 4
    shared.core.close()


async def test_core_that_its_peer_does_not_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GREETING_SECONDS", 0.2)
    async with open_replication() as stranger:
        port = await stranger.listen()
        with pytest.raises(ShareRefused, match="does not serve the whole core"):
            await open_source(CoreSource(bytes(32), "127.0.0.1", port), tmp_path, ACCOUNT)


async def test_core_at_an_address_where_nobody_listens_is_refused(tmp_path: Path) -> None:
    async with open_replication() as gone:
        port = await gone.listen()
    with pytest.raises(ShareRefused, match=f"nobody serves hypercores at 127.0.0.1:{port}"):
        await open_source(CoreSource(bytes(32), "127.0.0.1", port), tmp_path, ACCOUNT)


async def test_core_with_a_block_too_large_to_host_is_refused(tmp_path: Path) -> None:
    core = Core.create(None)
    core.append([b"small", bytes(65_537)])
    async with open_replication() as author:
        author.add(core)
        port = await author.listen()
        with pytest.raises(ShareRefused, match="block 1 has 65537 bytes"):
            await open_source(CoreSource(core.key, "127.0.0.1", port), tmp_path, ACCOUNT)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000])
async def test_file_is_cut_into_blocks_of_64_kib(tmp_path: Path, size: int) -> None:
    content = hashlib.shake_256(b"file").digest(size)
    (tmp_path / "file").write_bytes(content)
    shared = await open_core(FileSource(tmp_path / "file"), tmp_path / "shares")
    assert shared.core.length == -(-size // 65_536)
    assert b"".join(shared.core.get(index) for index in range(shared.core.length)) == content
    assert shared.sha256 == hashlib.sha256(content).digest()
    shared.core.close()


async def test_file_shared_again_is_the_same_core_and_an_interrupted_one_is_completed(tmp_path: Path) -> None:
    content = hashlib.shake_256(b"file").digest(200_000)
    (tmp_path / "file").write_bytes(content)
    first = await open_core(FileSource(tmp_path / "file"), tmp_path / "shares")
    head = first.core.signed_head()
    first.core.truncate(1)
    first.core.close()
    second = await open_core(FileSource(tmp_path / "file"), tmp_path / "shares")
    assert second.core.key == first.core.key
    assert second.core.tree_hash() == head.tree_hash
    second.core.close()


async def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ShareRefused, match="is empty"):
        await open_source(FileSource(tmp_path / "file"), tmp_path / "shares", ACCOUNT)


async def test_reading_back_needs_every_block_from_the_given_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READ_BACK_SECONDS", 0.2)
    core = small_core(3)
    async with open_replication() as hoster:
        hoster.add(core)
        port = await hoster.listen()
        expected = hashlib.sha256(b"".join(core.get(index) for index in range(3))).digest()
        assert await read_back(core.key, core.signed_head(), [("127.0.0.1", port)]) == expected
        with pytest.raises(FetchFailed, match="no hoster answers"):
            await read_back(core.key, core.signed_head(), [])
        other_head = replace(core.signed_head(), tree_hash=bytes(32))
        with pytest.raises(FetchFailed, match="the chain knows"):
            await read_back(core.key, other_head, [("127.0.0.1", port)])
        core.clear(1, 2)
        with pytest.raises(FetchFailed):
            await read_back(core.key, core.signed_head(), [("127.0.0.1", port)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no-such-file", "does not exist"),
        (f"{KEY}@", "not of the form KEY@HOST:PORT"),
        (f"{KEY}@127.0.0.1", "not of the form KEY@HOST:PORT"),
        (f"{KEY}@127.0.0.1:port", "not of the form KEY@HOST:PORT"),
        (f"{KEY}@127.0.0.1:0", "is not a port"),
        (f"{KEY}@127.0.0.1:65536", "is not a port"),
        (f"{KEY[:-2]}@127.0.0.1:4000", "is not the key of a core"),
        (f"{'0' * 52}@127.0.0.1:4000", "is not the key of a core"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ShareRefused, match=reason):
        parse_source(text)


def test_existing_path_wins_over_a_key_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{KEY}@127.0.0.1:4000"
    Path(name).write_bytes(b"content")
    assert parse_source(name) == FileSource(Path(name))


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    assert parse_source(str(tmp_path)) == FolderSource(tmp_path)
