"""Two ends of a Protomux stream, and what passes between them."""

from __future__ import annotations

from hypercore.protomux import Channel, Event, OpenRequested, Protomux


def events(mux: Protomux) -> list[Event]:
    found = []
    while (event := mux.next_event()) is not None:
        found.append(event)
    return found


def deliver(source: Protomux, target: Protomux) -> list[Event]:
    for message in source.flush():
        target.receive(message)
    return events(target)


def open_pair(protocol: str = "chat", id: bytes = b"") -> tuple[Protomux, Protomux, Channel, Channel]:
    left, right = Protomux(), Protomux()
    left_channel = left.open(protocol, id)
    assert deliver(left, right) == [OpenRequested(protocol, id)]
    right_channel = right.open(protocol, id)
    deliver(right, left)
    events(right)
    return left, right, left_channel, right_channel


def answer_opens(mux: Protomux, count: int) -> None:
    """Pairs our first `count` channels, as the other side would."""
    for remote_id in range(1, count + 1):
        other = Protomux()
        for _ in range(remote_id - 1):
            other.open("filler", bytes((_ + 1,)))
        other.flush()
        channel = mux._local[remote_id]
        other.open(channel.protocol, channel.id)
        mux.receive(other.flush()[0])
    events(mux)
