"""Sharing: what becomes of a file or a served core, what is told meanwhile, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hypercore.io.replication import open_replication
from node.roles.share_events import Available, FeedPublished, HostingStarted, PlanPublished, Sealing, ShareEvent
from node.roles.share_source import CoreSource, FileSource, ShareRefused, parse_source
from node.roles.sponsor import Sponsor

from .world import Market, small_core, staffed_market

KEY = "11" * 32


async def share(market: Market, source: str, directory: Path) -> list[ShareEvent]:
    events = []
    async with market.endpoint("Sponsor") as endpoint, Sponsor.start(directory, endpoint, market.chain) as sponsor:
        async for event in sponsor.share(source, duration_blocks=5_000):
            events.append(event)
    return events


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
        # The sponsor is gone by now: whoever reads, reads from the hosters.
        view = market.view
        stored = view.feed(feed.feed)
        assert stored is not None
        sponsor_user = view.user(market.user_id("Sponsor"))
        assert sponsor_user is not None
        assert len(available.peers) == 3
        key = bytes.fromhex(available.key)
        core = small_core(1)
        assert key != core.key

        again = await share(market, str(file), tmp_path / "shares")
        assert again[:2] == [feed, PlanPublished(plan.plan, 1, again[1].values()["escrow"])]
        assert again[-1] == available


async def test_core_of_somebody_else_is_copied_and_served_on() -> None:
    core = small_core(4)
    async with open_replication() as author:
        author.add(core)
        port = await author.listen()
        source = parse_source(f"{core.public_id}@127.0.0.1:{port}")
        assert source == CoreSource(core.key, "127.0.0.1", port)


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
        (".", "is a folder"),
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
