"""Peers who know only Hyperswarm: a program beside this one that holds Hyperswarm connections for our replications.

    async with open_hyperswarm([node, bridge], directory=folder) as hyperswarm:
        identity = hyperswarm.serve(replication)             # one Hyperswarm identity for each replication
        identity.join_only([core.discovery_key])             # its readers find us
        hyperswarm.read(other).join_only([key])              # we find who serves it

The program (`bridges/hyperswarm`, from npm) speaks to the Hyperswarm network and ends its encryption; each connection
reaches us over a Unix socket in a directory that only this user can open, see `hypercore.bridged_link`. It is started
again when it ends, told its topics again, and ends with us: it lives no longer than its standard input.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hypercore.bridged_link import GREETING_BYTES, BridgedLink, Greeting
from hypercore.errors import HypercoreError, RemoteProtocolError
from hypercore.io.replication import Replication
from hypercore.io.swarm import Endpoint

log = logging.getLogger(__name__)

MAX_IDENTITIES = 256
MAX_TOPICS = 1024
MAX_PEERS = 64
MAX_LINE_BYTES = 4096
MAX_LOG_CHARACTERS = 500
MAX_LAST_WORDS = 8
START_SECONDS = 60.0
STOP_SECONDS = 4.0
GREETING_SECONDS = 10.0
RESTART_FIRST_PAUSE_SECONDS = 1.0
RESTART_LARGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A bridge that ran so long starts again after the shortest pause."""

Topic = tuple[int, bytes]


class BridgeFailed(HypercoreError):
    """The bridge program could not be started; the text has its last words."""


class HyperswarmIdentity:
    """One replication as a peer of Hyperswarm, under a key pair that the bridge makes.

    Made by `Hyperswarm.serve`, which announces what is joined, or by `Hyperswarm.read`, which looks for who did.
    """

    def __init__(self, hyperswarm: Hyperswarm, number: int) -> None:
        self._hyperswarm = hyperswarm
        self._number = number

    def join_only(self, discovery_keys: Iterable[bytes]) -> None:
        """Announces exactly these cores, or looks for them, from now on."""
        self._hyperswarm.set_topics(self._number, discovery_keys)

    async def announced(self, discovery_key: bytes) -> None:
        """Waits until readers of Hyperswarm can find a core that was joined, or peers were looked for once."""
        await self._hyperswarm.announced((self._number, discovery_key))


@dataclass(frozen=True, slots=True)
class _Identity:
    replication: Replication
    announces: bool


class Hyperswarm:
    """The bridge program and what it carries; made by `open_hyperswarm`."""

    def __init__(self, command: Sequence[str], directory: Path, settings: dict[str, object]) -> None:
        self.ready = trio.Event()
        self._command = list(command)
        self._directory = directory
        self._settings = settings
        self._identities: list[_Identity] = []
        self._wanted: dict[Topic, None] = {}
        self._announced: dict[Topic, None] = {}
        self._changed = trio.Event()
        self._last_words: deque[str] = deque(maxlen=MAX_LAST_WORDS)

    def serve(self, replication: Replication) -> HyperswarmIdentity:
        """A further identity that announces cores, whose connections `replication` gets; at most MAX_IDENTITIES."""
        return self._new_identity(_Identity(replication, announces=True))

    def read(self, replication: Replication) -> HyperswarmIdentity:
        """A further identity that looks for who announces cores, and connects `replication` to them."""
        return self._new_identity(_Identity(replication, announces=False))

    def _new_identity(self, identity: _Identity) -> HyperswarmIdentity:
        if len(self._identities) >= MAX_IDENTITIES:
            raise BridgeFailed(f"more than {MAX_IDENTITIES} identities in one bridge")
        self._identities.append(identity)
        return HyperswarmIdentity(self, len(self._identities) - 1)

    def set_topics(self, number: int, discovery_keys: Iterable[bytes]) -> None:
        """The topics of one identity, in place of those before; what exceeds MAX_TOPICS in all is left out."""
        wanted: dict[Topic, None] = {(number, key): None for key in discovery_keys}
        others = [topic for topic in self._wanted if topic[0] != number]
        if wanted.keys() == self._wanted.keys() - set(others):
            return
        if len(others) + len(wanted) > MAX_TOPICS:
            log.warning("%d cores are served, only %d of them over Hyperswarm", len(others) + len(wanted), MAX_TOPICS)
        self._wanted = dict.fromkeys([*others, *wanted][:MAX_TOPICS])
        self._tell_changed()

    async def announced(self, topic: Topic) -> None:
        """Waits until the bridge says that a topic is announced."""
        while topic not in self._announced:
            await self._changed.wait()

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ---- the program

    async def keep_running(self) -> None:
        """Starts the program again whenever it ends. Raises BridgeFailed when it never became ready."""
        pause = RESTART_FIRST_PAUSE_SECONDS
        while True:
            began = trio.current_time()
            await self._run_once()
            if not self.ready.is_set():
                words = " / ".join(self._last_words) or "it said nothing"
                raise BridgeFailed(f"the Hyperswarm bridge does not start: {words}")
            if trio.current_time() - began >= STEADY_SECONDS:
                pause = RESTART_FIRST_PAUSE_SECONDS
            log.warning("the Hyperswarm bridge ended, it starts again in %g s", pause)
            await trio.sleep(pause)
            pause = min(2 * pause, RESTART_LARGEST_PAUSE_SECONDS)

    async def _run_once(self) -> None:
        self._announced.clear()
        try:
            process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._directory,
            )
        except OSError as error:
            self._last_words.append(str(error))
            return
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_topics, process.stdin)
                nursery.start_soon(self._read_log, process.stderr)
                await self._read_events(process.stdout)
                nursery.cancel_scope.cancel()
        finally:
            await _stop(process)

    async def _tell_topics(self, stdin: trio.abc.SendStream) -> None:
        told: dict[Topic, None] = {}
        try:
            await _send_line(stdin, self._settings)
            while True:
                changed = self._changed
                for number, key in [topic for topic in told if topic not in self._wanted]:
                    del told[number, key]
                    self._announced.pop((number, key), None)
                    await _send_line(stdin, {"leave": key.hex(), "swarm": number})
                for number, key in [topic for topic in self._wanted if topic not in told]:
                    told[number, key] = None
                    announces = self._identities[number].announces
                    join = {"join": key.hex(), "swarm": number, "server": announces, "client": not announces}
                    await _send_line(stdin, join)
                if self._wanted.keys() == told.keys():
                    await changed.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it has ended; whoever reads its output sees that too

    async def _read_events(self, stdout: trio.abc.ReceiveStream) -> None:
        async for line in _lines(stdout):
            try:
                event = json.loads(line)
                kind = event["event"]
                if kind == "ready":
                    if self.ready.is_set():
                        log.warning("the Hyperswarm bridge runs again")
                    self.ready.set()
                elif kind == "joined" and (topic := (event["swarm"], bytes.fromhex(event["topic"]))) in self._wanted:
                    self._announced[topic] = None
                    self._tell_changed()
            except (ValueError, KeyError, TypeError):
                log.warning("the Hyperswarm bridge printed %r", line[:MAX_LOG_CHARACTERS])

    async def _read_log(self, stderr: trio.abc.ReceiveStream) -> None:
        async for line in _lines(stderr):
            text = line.decode(errors="replace").strip()[:MAX_LOG_CHARACTERS]
            if text:
                self._last_words.append(text)
                log.info("hyperswarm bridge: %s", text)

    # ---- its connections

    async def accept(self, stream: trio.SocketStream) -> None:
        """Replicates over one connection that the bridge holds."""
        async with stream:
            try:
                with trio.fail_after(GREETING_SECONDS):
                    greeting = Greeting.decode(await _receive_exactly(stream, GREETING_BYTES))
            except (RemoteProtocolError, trio.TooSlowError, trio.BrokenResourceError) as error:
                log.warning("a connection to the bridge's socket is refused: %s", error)
                return
            if greeting.swarm >= len(self._identities):
                return
            replication = self._identities[greeting.swarm].replication
            if replication.is_full:
                return
            link = BridgedLink(greeting)
            await replication.attach(stream, is_initiator=greeting.is_initiator, link=link).ended.wait()


async def _send_line(stdin: trio.abc.SendStream, command: dict[str, object]) -> None:
    await stdin.send_all(json.dumps(command).encode() + b"\n")


async def _lines(source: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    """Lines of at most MAX_LINE_BYTES; of a longer one its pieces."""
    buffer = bytearray()
    async for data in source:
        buffer += data
        while (end := buffer.find(b"\n")) >= 0 or len(buffer) > MAX_LINE_BYTES:
            size = min(end if end >= 0 else MAX_LINE_BYTES, MAX_LINE_BYTES)
            line = bytes(buffer[:size])
            del buffer[: size + 1 if size == end else size]
            yield line
    if buffer:
        yield bytes(buffer)


async def _receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await stream.receive_some(size - len(data))
        if not part:
            break
        data += part
    return data


async def _stop(process: trio.Process) -> None:
    """Closes the program's standard input, which ends it; kills it when that takes too long."""
    with trio.CancelScope(shield=True):
        assert process.stdin is not None
        await trio.aclose_forcefully(process.stdin)
        with trio.move_on_after(STOP_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)


@asynccontextmanager
async def open_hyperswarm(
    command: Sequence[str],
    *,
    directory: Path,
    bootstrap: Sequence[tuple[str, int]] = (),
    max_peers: int = MAX_PEERS,
) -> AsyncIterator[Hyperswarm]:
    """Runs the bridge program (`command`, started in `directory`) while the block of code runs.

    `bootstrap` names the nodes of a private network in place of the public one; when all of them are on this machine,
    the bridge stays on loopback too. Raises BridgeFailed when the program does not start.
    """
    failure: Exception | None = None
    with tempfile.TemporaryDirectory(prefix="hyperswarm-") as private:  # mode 0700: the socket is ours alone
        path = os.path.join(private, "socket")
        listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await listener.bind(path)
        listener.listen()
        settings = {"socket": path, "maxPeers": max_peers, **_network(bootstrap)}
        hyperswarm = Hyperswarm(command, directory, settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, hyperswarm.accept, [trio.SocketListener(listener)])
            try:
                await _start(hyperswarm, nursery)
                yield hyperswarm
            except Exception as problem:  # raised again below, outside of the nursery, which would wrap it in a group
                failure = problem
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _start(hyperswarm: Hyperswarm, nursery: trio.Nursery) -> None:
    problems: list[BridgeFailed] = []
    over = trio.Event()

    async def run() -> None:
        try:
            await hyperswarm.keep_running()
        except BridgeFailed as problem:
            problems.append(problem)
            over.set()

    async def wait_until_ready() -> None:
        await hyperswarm.ready.wait()
        over.set()

    nursery.start_soon(run)
    nursery.start_soon(wait_until_ready)
    with trio.move_on_after(START_SECONDS):
        await over.wait()
    if problems:
        raise problems[0]
    if not hyperswarm.ready.is_set():
        raise BridgeFailed(f"the Hyperswarm bridge was not ready within {START_SECONDS:g} s: is the network reachable?")


def _network(bootstrap: Sequence[tuple[str, int]]) -> dict[str, object]:
    nodes = [Endpoint(*node)._asdict() for node in bootstrap]
    local = bool(nodes) and all(host == "localhost" or host.startswith("127.") for host, _ in bootstrap)
    return {"bootstrap": nodes or None, "loopback": local}
