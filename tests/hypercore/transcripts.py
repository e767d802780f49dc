"""Replays every recorded session between two JavaScript peers from both sides: our peer takes the part of one of them.

`python -m tests.hypercore.transcripts` prints, for each session and side, how many messages of ours are the recorded
bytes and what the others are.

With the recorded keys the encrypted stream is deterministic, so both directions of the socket are compared as they are.
Our whole peer (`Replication` with its encrypted link, channels and cores) then plays one side against the recorded
messages of the other. What it sends depends on the order in which it asks, which is free: JavaScript draws it at
random. So its messages are compared one by one:

    equal        the recorded bytes, on the recorded channel
    renumbered   a request that was recorded with another number or urgency; the sender chooses both
    ours only    said by us alone
    theirs only  said by JavaScript alone; `REASONS` says why, by kind of message

Requests of ours are answered with the recorded answer under our number where the same was asked in the recording, and
else by a stand-in for the recorded peer that holds the same cores.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from unittest import mock

import trio
import trio.testing

from hypercore.errors import BlockNotAvailable, InvalidRequest
from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from hypercore.messages import Data, Message, NoData, Request, decode_message
from hypercore.proof import ProofRequest
from hypercore.secret_stream import SecretStream
from tests.hypercore.recorded import (
    HEADERS,
    SCENES,
    Part,
    Recording,
    Scene,
    Stage,
    describe,
    key_pairs,
    parts_of,
    recordings,
)

REASONS = {
    "Sync": "we tell our state once and not again while it is unchanged; JavaScript repeats it",
    "Request": "we ask for growth and blocks apart, JavaScript may join them; our paths end at nodes already asked for",
    "Cancel": "a seek withdraws what it asked for once the byte is found",
    "Want": "we ask at once which blocks a sparse peer has, JavaScript when it needs one",
    "Range": "after a hole we also tell which blocks lie behind it",
    "close": "JavaScript answers a close with a close",
}
"""Why a kind of message may differ. Every other kind must be equal: opens, refusals, answers, bitfields, extensions."""

PATIENCE_SECONDS = 60


@dataclass
class Report:
    """How the messages of one side compare."""

    name: str
    we_initiate: bool
    equal: int = 0
    equal_bytes: int = 0
    renumbered: int = 0
    ours_only: Counter[str] = field(default_factory=Counter)
    theirs_only: Counter[str] = field(default_factory=Counter)
    recorded_answers: int = 0
    stand_in_answers: int = 0
    stage: Stage | None = None

    def unexplained(self) -> int:
        """How many messages differ for no known reason."""
        return sum(count for kind, count in (self.ours_only + self.theirs_only).items() if kind not in REASONS)

    def line(self) -> str:
        """The report as one line of a table."""
        part = "initiator" if self.we_initiate else "responder"
        answers = f"{self.recorded_answers}+{self.stand_in_answers}"
        ours, theirs = (
            " ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "-"
            for kinds in (self.ours_only, self.theirs_only)
        )
        counts = f"{self.equal:5} {self.equal_bytes:7} {self.renumbered:10} {answers:>8}"
        return f"{self.name:20} {part} {counts}  {ours:26}  {theirs}"


def raw_bytes(recording: Recording) -> dict[bool, int]:
    """Makes both directions anew from the recorded plaintexts; returns their sizes when they equal the recording."""
    ends = {side: _secret_stream(side) for side in (True, False)}
    sent = {side: bytearray() for side in ends}
    for _ in range(3):
        for side, end in ends.items():
            data = end.data_to_send()
            sent[side] += data
            ends[not side].receive_bytes(data)
    for message in recording.messages:
        parts = parts_of(message.plaintext)
        for channel, payload in parts:
            if channel:
                decoded = decode_message(payload[0], payload[1:])
                assert decoded is not None
                assert decoded.encode() == payload[1:]
        sent[message.by_initiator] += ends[message.by_initiator].send(message.plaintext)
    for side, data in sent.items():
        assert len(data) == recording.raw_sizes[side]
        assert recording.raw is None or bytes(data) == recording.raw[side]
    return {side: len(data) for side, data in sent.items()}


def _secret_stream(initiator: bool) -> SecretStream:
    static, ephemeral = key_pairs(initiator)
    return SecretStream(is_initiator=initiator, static=static, ephemeral=ephemeral, header=HEADERS[initiator])


class Puppet:
    """The recorded peer: says what it said, and answers what our peer asks."""

    def __init__(self, stream: trio.abc.Stream, recording: Recording, report: Report, cores: list[Core]) -> None:
        self._stream = stream
        self._secret = _secret_stream(not report.we_initiate)
        self._report = report
        self._cores = {core.discovery_key: core for core in cores}
        self._channels: dict[int, Core | None] = {}
        self._recorded = _recorded_answers(recording, report.we_initiate)
        self.heard: list[Part] = []

    async def listen(self) -> None:
        """Collects our peer's messages; answers its requests when it is the one that reads."""
        await self._stream.send_all(self._secret.data_to_send())
        async for data in self._stream:
            plaintexts = self._secret.receive_bytes(bytes(data))
            await self._stream.send_all(self._secret.data_to_send())
            for plaintext in plaintexts:
                for part in parts_of(plaintext):
                    self.heard.append(part)
                    await self._answer(part)

    async def say(self, plaintext: bytes) -> None:
        """Sends a recorded message, without answers to requests, as those are sent when our peer asks."""
        parts = parts_of(plaintext)
        kept = [part for part in parts if not (self._report.we_initiate and _is_answer(part))]
        self._remember(kept)
        if len(kept) == len(parts):
            await self._send(plaintext)
            return
        for channel, payload in kept:
            await self._send(bytes((channel,)) + payload)

    async def _send(self, plaintext: bytes) -> None:
        await self._stream.send_all(self._secret.send(plaintext))

    def _remember(self, parts: list[Part]) -> None:
        for channel, payload in parts:
            if channel == 0 and payload[0] == 1:
                core = next((core for key, core in self._cores.items() if key in payload), None)
                self._channels[payload[1]] = core

    async def _answer(self, part: Part) -> None:
        channel, payload = part
        if not self._report.we_initiate or channel == 0:
            return
        message = decode_message(payload[0], payload[1:])
        if not isinstance(message, Request):
            return
        waiting = self._recorded.get((channel, message.proof), [])
        answer: Message | None
        if waiting:
            answer = _numbered(waiting.pop(0), message.id)
            self._report.recorded_answers += 1
        else:
            answer = self._made_up(channel, message)
            self._report.stand_in_answers += 1
        await self._send(bytes((channel, answer.type)) + answer.encode())

    def _made_up(self, channel: int, request: Request) -> Message:
        core = self._channels.get(channel)
        try:
            assert core is not None
            return Data(request.id, core.proof(request.proof))
        except (BlockNotAvailable, InvalidRequest):
            return NoData(request.id, NoData.NOT_AVAILABLE)


def _is_answer(part: Part) -> bool:
    return part[0] != 0 and part[1][0] in (Data.type, NoData.type)


def _numbered(answer: Message, id: int) -> Message:
    assert isinstance(answer, Data | NoData)
    return replace(answer, request=id)


def _recorded_answers(recording: Recording, of_initiator: bool) -> dict[tuple[int, ProofRequest], list[Message]]:
    """What the other side answered, by channel and question."""
    asked: dict[tuple[int, int], ProofRequest] = {}
    answers: dict[tuple[int, ProofRequest], list[Message]] = {}
    for message in recording.messages:
        for channel, payload in parts_of(message.plaintext):
            decoded = decode_message(payload[0], payload[1:]) if channel else None
            if isinstance(decoded, Request) and message.by_initiator is of_initiator:
                asked[(channel, decoded.id)] = decoded.proof
            elif isinstance(decoded, Data | NoData) and message.by_initiator is not of_initiator:
                answers.setdefault((channel, asked[(channel, decoded.request)]), []).append(decoded)
    return answers


async def replay(recording: Recording, *, we_initiate: bool) -> Report:
    """Our peer against the recorded messages of the other side."""
    report = Report(recording.name, we_initiate)
    scene = SCENES[recording.name]
    written = scene.cores()
    static, ephemeral = key_pairs(we_initiate)

    def golden(**options: object) -> SecretStream:
        return SecretStream(
            is_initiator=we_initiate, static=static, ephemeral=ephemeral, header=HEADERS[we_initiate]
        )

    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(PATIENCE_SECONDS), mock.patch("hypercore.io.session.SecretStream", golden):
        async with open_replication(key_pair=static) as replication, trio.open_nursery() as nursery:
            readers = {name: Core.open(key=core.key) for name, core in written.items()}
            stage = report.stage = Stage(replication, nursery, readers if we_initiate else written)
            absent = Stage(replication, nursery, written)  # of the other side, where it changes what it serves
            if recording.name != "unknown_core" or we_initiate:
                for name in sorted(set(written) - set(scene.late)):
                    stage.add(name)
            puppet = Puppet(theirs, recording, report, list(written.values()))
            nursery.start_soon(puppet.listen)
            replication.attach(ours, is_initiator=we_initiate)
            await trio.testing.wait_all_tasks_blocked()
            await _play(recording, scene, puppet, stage, absent, we_initiate)
            _compare(report, recording, puppet.heard)
            nursery.cancel_scope.cancel()
    return report


async def _play(
    recording: Recording, scene: Scene, puppet: Puppet, stage: Stage, absent: Stage, we_initiate: bool
) -> None:
    for number, message in enumerate(recording.messages):
        if we_initiate:
            if number in scene.reader:
                scene.reader[number](stage)
            if number in scene.writer and recording.name == "live_append":
                scene.writer[number](absent)
        elif number in scene.writer:
            scene.writer[number](stage)
        await trio.testing.wait_all_tasks_blocked()
        if message.by_initiator is not we_initiate:
            await puppet.say(message.plaintext)
            await trio.testing.wait_all_tasks_blocked()


def _compare(report: Report, recording: Recording, heard: list[Part]) -> None:
    recorded = Counter(
        part
        for message in recording.messages
        if message.by_initiator is report.we_initiate
        for part in parts_of(message.plaintext)
    )
    said = Counter(heard)
    equal = recorded & said
    report.equal = equal.total()
    report.equal_bytes = sum(len(payload) * count for (_, payload), count in equal.items())
    left, extra = recorded - equal, said - equal
    renumbered = Counter(_question(part) for part in left.elements()) & Counter(_question(p) for p in extra.elements())
    renumbered.pop(None, None)
    report.renumbered = renumbered.total()
    report.theirs_only = _kinds(left, renumbered)
    report.ours_only = _kinds(extra, renumbered)


def _question(part: Part) -> tuple[int, ProofRequest] | None:
    channel, payload = part
    message = decode_message(payload[0], payload[1:]) if channel else None
    return (channel, message.proof) if isinstance(message, Request) else None


def _kinds(parts: Counter[Part], renumbered: Counter[tuple[int, ProofRequest] | None]) -> Counter[str]:
    known, kinds = Counter(renumbered), Counter[str]()
    for part in parts.elements():
        question = _question(part)
        if question is not None and known[question]:
            known[question] -= 1
        else:
            kinds[describe(part)] += 1
    return kinds


async def main() -> int:
    """Prints the table; returns how many messages differ for no known reason."""
    print("Raw bytes of the encrypted sessions, both directions, made anew from the recorded plaintexts:")
    loaded = [Recording.load(path) for path in recordings()]
    for recording in loaded:
        sizes = raw_bytes(recording)
        how = "equal" if recording.raw else "equal in number, the recording left the bytes out"
        print(f"  {recording.name:20} {sizes[True]:7} + {sizes[False]:7} bytes {how}")
    print("\nOur peer in the part of one side:")
    print(f"{'session':20} we play   equal   bytes renumbered  answers  {'ours only':26}  theirs only")
    unexplained = 0
    for recording in loaded:
        for we_initiate in (True, False):
            report = await replay(recording, we_initiate=we_initiate)
            print(report.line())
            unexplained += report.unexplained()
    print("\nanswers: recorded ones under our numbers + made by a stand-in. Why messages may differ:")
    for kind, reason in REASONS.items():
        print(f"  {kind:9} {reason}")
    print(f"\n{unexplained} messages differ for no known reason")
    return unexplained


if __name__ == "__main__":
    sys.exit(1 if trio.run(main, clock=trio.testing.MockClock()) else 0)
