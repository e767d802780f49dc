"""A hoster proves what is on its disk, serves readers from it, survives restarts, and erases late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hypercore.io.core import Core
from hypercore.io.replication import ReplicationTimeout, open_replication
from node.roles import limits
from node.roles.hoster_store import LANE_SUFFIX
from pallets.datdot.events import ProofOfStorageConfirmed, ProofOfStorageFailed
from pallets.datdot.types import ChallengeState

from .stage import Actor, Stage, open_stage
from .world import PATIENCE_SECONDS


@asynccontextmanager
async def hosted(tmp_path: Path) -> AsyncIterator[tuple[Stage, int]]:
    """A stage whose lane 0 is on its hoster's disk and live; the hoster has been stopped. Yields the hoster's id."""
    async with open_stage(tmp_path, chunks=3) as stage:
        terms, script = stage.terms(0), await stage.script(0)
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(terms.hoster) as hoster:
            await stage.start_hosting(script, await stage.deliver(script, attestor, hoster))
        yield stage, terms.hoster


def lane_file(stage: Stage, hoster: Actor) -> Path:
    (path,) = (stage.directory / hoster.name / "lanes").glob(f"*{LANE_SUFFIX}")
    return path


async def read(stage: Stage, hoster: Actor, timeout_seconds: float = PATIENCE_SECONDS) -> list[bytes]:
    """All blocks as a stranger gets them from this hoster."""
    copy = Core.open(None, stage.core.key)
    async with open_replication() as replication:
        await replication.connect(*hoster.endpoint.hypercore)
        await replication.update(copy, stage.core.length, timeout_seconds=timeout_seconds)
        await replication.download(copy, timeout_seconds=timeout_seconds)
    return [copy.get(index) for index in range(copy.length)]


async def test_restarted_hoster_answers_challenges_from_its_disk(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        for _ in range(2):
            challenge = stage.open_challenge(user_id)
            await hoster.hoster.prove(challenge)
        assert len(stage.chain.of_kind(ProofOfStorageConfirmed)) == 2


async def test_readers_of_a_restarted_hoster_get_the_blocks_unsealed(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        assert await read(stage, hoster) == [stage.core.get(index) for index in range(3)]


async def test_replica_that_was_lost_is_rebuilt_from_the_sealed_lanes(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id):
        (replica,) = (tmp_path / stage.name_of(user_id) / "feeds").iterdir()
        (replica / "bitfield").write_bytes(b"")
        (replica / "journal.0").write_bytes(b"")
        (replica / "journal.1").write_bytes(b"")
        async with stage.actor(user_id) as hoster:
            await hoster.hoster.restore()
            assert await read(stage, hoster) == [stage.core.get(index) for index in range(3)]


async def test_hoster_that_lost_a_lane_shows_nothing_and_misses_the_challenge(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id):
        async with stage.actor(user_id) as hoster:
            lane_file(stage, hoster).unlink()
        async with stage.actor(user_id) as hoster:
            await hoster.hoster.restore()
            await assert_nothing_is_shown(stage, hoster)


async def test_lane_that_vanishes_while_the_hoster_runs_is_missed_without_a_crash(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        lane_file(stage, hoster).unlink()
        await assert_nothing_is_shown(stage, hoster)


async def test_hoster_that_kept_only_the_opened_data_cannot_answer(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        path = lane_file(stage, hoster)
        (lane,) = hoster.store.lanes()
        opened = b"".join(stage.core.get(index) for index in range(3))
        path.write_bytes(opened.ljust(lane.sealed_bytes, b"\0") + path.read_bytes()[lane.sealed_bytes :])
        assert not hoster.store.is_intact(lane)
        await assert_nothing_is_shown(stage, hoster)


async def assert_nothing_is_shown(stage: Stage, hoster: Actor) -> None:
    challenge_id = stage.open_challenge(hoster.user_id)
    before = stage.chain.best_number
    await hoster.hoster.prove(challenge_id)
    assert stage.chain.best_number == before
    challenge = stage.market.view.challenge(challenge_id)
    assert challenge is not None
    assert challenge.deadline is not None
    stage.pass_blocks(challenge.deadline + 1 - before)
    settled = stage.market.view.challenge(challenge_id)
    assert settled is not None
    assert settled.state is ChallengeState.MISSED
    assert stage.chain.of_kind(ProofOfStorageConfirmed) == []
    assert len(stage.chain.of_kind(ProofOfStorageFailed)) == 1


async def test_changed_sealed_chunk_is_never_served(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        path = lane_file(stage, hoster)
        data = bytearray(path.read_bytes())
        data[10] ^= 1
        path.write_bytes(data)
        with pytest.raises(ReplicationTimeout):
            await read(stage, hoster, timeout_seconds=0.5)


async def test_lane_is_erased_only_long_after_the_chain_dropped_it(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms, script = stage.terms(0), await stage.script(0)
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(terms.hoster) as hoster:
            await stage.deliver(script, attestor, hoster)
            replication = hoster.endpoint.replication
            hoster.hoster.erase_unwanted(replication)
            deadline = terms.deadline
            stage.pass_blocks(deadline + 1 - stage.chain.best_number)
            hoster.hoster.erase_unwanted(replication)  # from here on nobody wants it
            unwanted_since = stage.chain.best_number
            stage.pass_blocks(limits.ERASE_AFTER_BLOCKS + stage.chain.finality_lag - 1)
            hoster.hoster.erase_unwanted(replication)
            assert len(hoster.store.lanes()) == 1
            stage.pass_blocks(1)
            assert stage.chain.finalized_number == unwanted_since + limits.ERASE_AFTER_BLOCKS
            hoster.hoster.erase_unwanted(replication)
            assert hoster.store.lanes() == ()
            assert hoster.hoster.resolve(stage.core.discovery_key) is None
            assert list((tmp_path / hoster.name / "feeds").iterdir()) == []


async def test_copy_of_a_lane_is_found_only_by_the_root_on_the_chain(tmp_path: Path) -> None:
    async with hosted(tmp_path) as (stage, user_id), stage.actor(user_id) as hoster:
        await hoster.hoster.restore()
        (lane,) = hoster.store.lanes()
        position = stage.market.view.live_position(lane.id)
        assert position is not None
        assert hoster.store.find(lane.id, position.root) == lane
        assert hoster.store.find(lane.id, bytes(32)) is None
