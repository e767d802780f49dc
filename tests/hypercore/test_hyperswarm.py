"""The supervision of the Hyperswarm bridge: a small program plays it, whose behaviour each test scripts."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from hypercore.bridged_link import Greeting
from hypercore.crypto import KeyPair
from hypercore.io import hyperswarm as hyperswarm_module
from hypercore.io.hyperswarm import BridgeFailed, Hyperswarm, open_hyperswarm
from hypercore.io.replication import open_replication

PATIENCE_SECONDS = 30
KEY, OTHER_KEY = bytes(32), bytes(range(32))
PREAMBLE = """
import json, os, socket, sys
def say(**event): print(json.dumps(event), flush=True)
def told(): return json.loads(sys.stdin.readline() or "null")
settings = told()
"""
ORDINARY = """
say(event="ready")
while command := told():
    with open("told", "a") as file: file.write(json.dumps(command) + "\\n")
    if "join" in command: say(event="joined", topic=command["join"], swarm=command["swarm"])
"""


@asynccontextmanager
async def bridge(folder: Path, script: str, **options: object) -> AsyncIterator[Hyperswarm]:
    program = folder / "bridge.py"
    program.write_text(PREAMBLE + script)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_hyperswarm(
            [sys.executable, "-I", str(program)], directory=folder, **options  # type: ignore[arg-type]
        ) as hyperswarm:
            yield hyperswarm


def is_there(path: Path) -> bool:
    return path.exists()


def is_private_socket(path: Path) -> bool:
    return path.is_socket() and path.parent.stat().st_mode & 0o777 == 0o700


def commands(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


async def test_topics_are_joined_and_left(tmp_path: Path) -> None:
    async with open_replication() as one, open_replication() as two, bridge(tmp_path, ORDINARY) as hyperswarm:
        first, second = hyperswarm.serve(one), hyperswarm.serve(two)
        first.join_only([KEY])
        second.join_only([KEY])
        await first.announced(KEY)
        await second.announced(KEY)
        first.join_only([OTHER_KEY])
        await first.announced(OTHER_KEY)
    told = commands(tmp_path)
    joins = {(command["join"], command["swarm"]) for command in told if "join" in command}
    assert joins == {(KEY.hex(), 0), (KEY.hex(), 1), (OTHER_KEY.hex(), 0)}
    assert [command for command in told if "leave" in command] == [{"leave": KEY.hex(), "swarm": 0}]
    assert all(command["server"] and not command["client"] for command in told if "join" in command)


async def test_a_reader_looks_for_peers_and_is_not_announced(tmp_path: Path) -> None:
    async with open_replication() as ours, open_replication() as theirs, bridge(tmp_path, ORDINARY) as hyperswarm:
        reader, server = hyperswarm.read(ours), hyperswarm.serve(theirs)
        reader.join_only([KEY])
        server.join_only([OTHER_KEY])
        await reader.announced(KEY)
        await server.announced(OTHER_KEY)
    told = {command["join"]: (command["server"], command["client"]) for command in commands(tmp_path)}
    assert told == {KEY.hex(): (False, True), OTHER_KEY.hex(): (True, False)}


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        ((), {"bootstrap": None, "loopback": False}),
        ([("127.0.0.1", 5)], {"bootstrap": [{"host": "127.0.0.1", "port": 5}], "loopback": True}),
        ([("node.example", 5)], {"bootstrap": [{"host": "node.example", "port": 5}], "loopback": False}),
    ],
    ids=["public", "loopback", "private"],
)
async def test_the_bridge_is_told_which_network_to_join(
    tmp_path: Path, bootstrap: list[tuple[str, int]], expected: dict[str, object]
) -> None:
    script = 'open("settings", "w").write(json.dumps(settings)); say(event="ready"); told()'
    async with bridge(tmp_path, script, bootstrap=bootstrap):
        settings = json.loads((tmp_path / "settings").read_text())
    assert expected.items() <= settings.items()


async def test_the_socket_is_in_a_directory_of_this_user_alone_and_goes_with_it(tmp_path: Path) -> None:
    script = 'open("settings", "w").write(json.dumps(settings)); say(event="ready"); told()'
    async with bridge(tmp_path, script):
        path = Path(json.loads((tmp_path / "settings").read_text())["socket"])
        assert is_private_socket(path)
    assert not is_there(path.parent)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("sys.exit(1)", "it said nothing"),
        ('sys.exit("no such network")', "no such network"),
        ('print("x" * 100_000, file=sys.stderr); sys.exit(1)', "x" * 100),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
    ],
    ids=["silent", "words", "many words", "traceback"],
)
async def test_a_bridge_that_does_not_start_is_refused_with_its_last_words(
    tmp_path: Path, script: str, says: str
) -> None:
    with pytest.raises(BridgeFailed, match=says) as refusal:
        async with bridge(tmp_path, script):
            raise AssertionError("it started")
    assert len(str(refusal.value)) < 10_000


async def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeFailed, match="does not start"):
        async with open_hyperswarm([str(tmp_path / "missing")], directory=tmp_path):
            raise AssertionError("it started")


async def test_a_bridge_that_is_never_ready_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm_module, "START_SECONDS", 0.05)
    with pytest.raises(BridgeFailed, match="not ready within"):
        async with bridge(tmp_path, "told()"):
            raise AssertionError("it started")


async def test_a_bridge_that_ends_starts_again_with_the_same_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperswarm_module, "RESTART_FIRST_PAUSE_SECONDS", 0.0)
    script = """
first = not os.path.exists("started"); open("started", "w").close()
say(event="ready")
command = told()
if first: sys.exit(1)
say(event="joined", topic=command["join"], swarm=command["swarm"])
told()
"""
    async with open_replication() as replication, bridge(tmp_path, script) as hyperswarm:
        identity = hyperswarm.serve(replication)
        identity.join_only([KEY])
        await identity.announced(KEY)


async def test_a_bridge_that_does_not_end_by_itself_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm_module, "STOP_SECONDS", 0.05)
    script = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(event="ready")
while True: time.sleep(1000)
"""
    async with bridge(tmp_path, script):
        pass


@pytest.mark.parametrize(
    "line",
    ["noise", "[]", "{}", '{"event": "joined"}', '{"event": "joined", "topic": "zz", "swarm": 0}', "x" * 20_000],
)
async def test_lines_that_are_no_events_are_logged_and_passed_over(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    script = f"print({line!r}, flush=True)" + ORDINARY
    with caplog.at_level(logging.WARNING):
        async with open_replication() as replication, bridge(tmp_path, script) as hyperswarm:
            identity = hyperswarm.serve(replication)
            identity.join_only([KEY])
            await identity.announced(KEY)
    assert "the Hyperswarm bridge printed" in caplog.text
    assert max(map(len, caplog.messages)) < 1_000


async def connect_to(folder: Path, data: bytes) -> trio.SocketStream:
    path = json.loads((folder / "settings").read_text())["socket"]
    stream = await trio.open_unix_socket(path)
    await stream.send_all(data)
    return stream


KEEPS_SETTINGS = 'open("settings", "w").write(json.dumps(settings)); say(event="ready"); told()'
GREETING = Greeting(False, 0, KeyPair.from_seed(KEY).public_key, bytes(64))


async def test_a_connection_of_the_bridge_becomes_a_link_of_its_replication(tmp_path: Path) -> None:
    async with open_replication() as replication, bridge(tmp_path, KEEPS_SETTINGS) as hyperswarm:
        hyperswarm.serve(replication)
        async with await connect_to(tmp_path, GREETING.encode()):
            while not replication.sessions:
                await trio.lowlevel.checkpoint()
            (session,) = replication.sessions
            await session.established.wait()
            assert session.remote_public_key == GREETING.remote_public_key
        await session.ended.wait()


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 99, Greeting(False, 1, KEY, bytes(64)).encode()],
    ids=["no greeting", "an identity that is not there"],
)
async def test_a_connection_that_greets_otherwise_is_closed(tmp_path: Path, data: bytes) -> None:
    async with open_replication() as replication, bridge(tmp_path, KEEPS_SETTINGS) as hyperswarm:
        hyperswarm.serve(replication)
        async with await connect_to(tmp_path, data) as stream:
            assert await stream.receive_some(1) == b""
        assert not replication.sessions


async def test_connections_beyond_the_bound_of_a_replication_are_closed(tmp_path: Path) -> None:
    async with open_replication(max_connections=0) as replication, bridge(tmp_path, KEEPS_SETTINGS) as hyperswarm:
        hyperswarm.serve(replication)
        async with await connect_to(tmp_path, GREETING.encode()) as stream:
            assert await stream.receive_some(1) == b""


async def test_topics_and_identities_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm_module, "MAX_TOPICS", 1)
    monkeypatch.setattr(hyperswarm_module, "MAX_IDENTITIES", 1)
    async with open_replication() as replication, bridge(tmp_path, ORDINARY) as hyperswarm:
        identity = hyperswarm.serve(replication)
        identity.join_only([KEY, OTHER_KEY])
        await identity.announced(KEY)
        assert len(hyperswarm._wanted) == 1
        with pytest.raises(BridgeFailed, match="more than 1 identities"):
            hyperswarm.serve(replication)
