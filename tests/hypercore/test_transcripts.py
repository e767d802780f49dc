"""Recorded sessions between two JavaScript peers, with our peer in the part of each side."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercore.messages import Request
from tests.hypercore.recorded import Recording, load, parts_of, recordings
from tests.hypercore.transcripts import main, raw_bytes, replay

PATHS = {path.stem.removeprefix("13_transcript_"): path for path in recordings()}


@pytest.fixture(params=sorted(PATHS))
def path(request: pytest.FixtureRequest) -> Path:
    return PATHS[request.param]


def test_the_encrypted_bytes_of_both_directions_are_the_recorded_ones(path: Path) -> None:
    assert min(raw_bytes(Recording.load(path)).values()) > 0


async def test_in_the_part_of_the_uploader_every_answer_is_the_recorded_bytes(path: Path) -> None:
    recording = Recording.load(path)
    report = await replay(recording, we_initiate=False)
    assert report.unexplained() == 0
    asked = [
        payload
        for message in recording.messages
        if message.by_initiator
        for channel, payload in parts_of(message.plaintext)
        if channel and payload[0] == Request.type
    ]
    assert report.equal > len(asked)
    assert set(report.theirs_only) <= {"Sync"}


async def test_in_the_part_of_the_downloader_it_asks_for_the_same_and_gets_the_same(path: Path) -> None:
    recorded = load(path.name)
    report = await replay(Recording.load(path), we_initiate=True)
    assert report.unexplained() == 0
    stage = report.stage
    assert stage is not None
    got = {**recorded.get("got", {})} if isinstance(recorded.get("got"), dict) else {}
    if isinstance(recorded.get("result"), dict):
        got |= recorded["result"]
    assert {str(index): block.hex() for (name, index), block in stage.got.items() if str(index) in got} == got
    if "seek" in recorded:
        assert recorded["seek"] == {"bytes": 4444, "result": next(list(found) for found in stage.sought)}
    if isinstance(recorded.get("result"), list):
        core = stage.cores[""]
        assert [core.get(index).hex() for index in range(core.length)] == recorded["result"]


async def test_a_late_core_and_two_early_ones_share_a_link() -> None:
    recorded = load("13_transcript_corestore_two_cores.json")
    report = await replay(Recording.load(PATHS["corestore_two_cores"]), we_initiate=True)
    assert report.stage is not None
    assert {name: core.key.hex() for name, core in report.stage.cores.items()} == recorded["keys"]
    got = {name: block.hex() for (name, _), block in report.stage.got.items()}
    assert got == dict(zip("xyz", [*recorded["got"], recorded["late"]], strict=True))


async def test_a_live_reader_follows_to_the_recorded_fork() -> None:
    recorded = load("13_transcript_live_append.json")
    report = await replay(Recording.load(PATHS["live_append"]), we_initiate=True)
    assert report.stage is not None
    core = report.stage.cores[""]
    assert {"length": core.length, "fork": core.fork} == recorded["afterFork"]
    assert core.get(4) == b"fork-4"


@pytest.mark.parametrize("we_initiate", [True, False])
async def test_extension_messages_are_the_recorded_ones(we_initiate: bool) -> None:
    recorded = load("13_transcript_extension.json")
    report = await replay(Recording.load(PATHS["extension"]), we_initiate=we_initiate)
    assert report.stage is not None
    heard = [message.decode() for message in report.stage.extensions]
    we = "reader" if we_initiate else "writer"
    assert [f"{we} got {text}" for text in heard] == [line for line in recorded["received"] if line.startswith(we)]


async def test_the_script_finds_no_difference_without_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert await main() == 0
    assert capsys.readouterr().out.count("initiator") == len(PATHS)
