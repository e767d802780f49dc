from __future__ import annotations

import pytest

from node import limits
from node.net.identity import InvalidPeerId, peer_id_of
from node.net.peers import Offence, PeerBook
from node.net.rate import TokenBucket
from node.net.session import PingMonitor

from .support import seed


def peer(name: str) -> str:
    return peer_id_of(seed(name))


def address(name: str, port: int = 1) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer(name)}"


def test_enough_offences_make_one_ban_that_ends() -> None:
    book = PeerBook()
    bans = [book.offend("p", Offence.WrongAnswer, 0.0) for _ in range(3)]
    assert bans == [False, True, False]
    assert book.is_banned("p", limits.BAN_SECONDS - 1)
    assert not book.is_banned("p", limits.BAN_SECONDS)


def test_the_worst_offence_bans_at_once() -> None:
    assert PeerBook().offend("p", Offence.InvalidBlock, 0.0)


def test_offences_fade() -> None:
    book = PeerBook()
    book.offend("p", Offence.WrongAnswer, 0.0)
    much_later = Offence.WrongAnswer.weight / limits.OFFENCE_DECAY_PER_SECOND
    assert book.points("p", much_later) == 0
    assert not book.offend("p", Offence.WrongAnswer, much_later)


def test_offences_of_others_do_not_count() -> None:
    book = PeerBook()
    book.offend("p", Offence.WrongAnswer, 0.0)
    assert not book.offend("q", Offence.WrongAnswer, 0.0)
    assert book.points("nobody", 0.0) == 0
    assert not book.is_banned("nobody", 0.0)


def test_offenders_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REMEMBERED_OFFENDERS", 2)
    book = PeerBook()
    for name in "abc":
        book.offend(name, Offence.Flood, 0.0)
    assert [book.points(name, 0.0) > 0 for name in "abc"] == [False, True, True]


def test_every_offence_weighs_something_and_says_what_it_is() -> None:
    for offence in Offence:
        assert 0 < offence.weight <= limits.BAN_THRESHOLD
        assert offence.sentence.endswith(".")


@pytest.mark.parametrize(
    "text", ["", "/ip4/1.2.3.4/tcp/1", "/p2p/" + peer("a"), "/ip4/1.2.3.4/tcp/1/p2p/xyz", peer("a")]
)
def test_an_address_that_names_no_peer_is_refused(text: str) -> None:
    with pytest.raises(InvalidPeerId):
        PeerBook().add_target(text)


def test_failed_dials_wait_longer_and_longer_up_to_a_bound() -> None:
    book = PeerBook()
    book.add_target(address("a"))
    waits = []
    now = 0.0
    for _ in range(12):
        book.dial_failed(peer("a"), now)
        wait = 0.0
        while not book.due(now + wait, ()):
            wait += limits.REDIAL_FIRST_DELAY_SECONDS
        waits.append(wait)
        now += wait
    assert waits[:4] == [limits.REDIAL_FIRST_DELAY_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == limits.REDIAL_MAX_DELAY_SECONDS


def test_a_session_ends_the_wait() -> None:
    book = PeerBook()
    book.add_target(address("a"))
    for _ in range(5):
        book.dial_failed(peer("a"), 0.0)
    assert book.due(1.0, ()) == []
    book.session_began(peer("a"))
    assert book.due(1.0, ()) == [(peer("a"), address("a"))]


def test_connected_banned_and_postponed_peers_are_not_due() -> None:
    book = PeerBook()
    for name in "abcd":
        book.add_target(address(name))
    book.offend(peer("b"), Offence.InvalidBlock, 0.0)
    book.postpone(peer("c"), 0.0, 10.0)
    assert [peer_id for peer_id, _ in book.due(1.0, {peer("a")})] == [peer("d")]


def test_permanent_targets_come_first_and_alone_when_there_are_peers_enough() -> None:
    book = PeerBook()
    for name in "abc":
        book.add_target(address(name))
    book.add_target(address("boot"), permanent=True)
    assert book.due(0.0, ())[0][0] == peer("boot")
    assert [peer_id for peer_id, _ in book.due(0.0, (), permanent_only=True)] == [peer("boot")]
    assert book.permanent_peers == (peer("boot"),)


def test_a_released_target_is_one_like_any_other() -> None:
    book = PeerBook()
    book.add_target(address("a", 1), permanent=True)
    book.release(peer("a"))
    book.release(peer("unknown"))
    assert book.permanent_peers == ()
    book.add_target(address("a", 2))
    assert book.due(0.0, ()) == [(peer("a"), address("a", 2))]


def test_what_a_peer_says_does_not_change_a_permanent_address() -> None:
    book = PeerBook()
    book.add_target(address("a", 1), permanent=True)
    book.add_target(address("a", 2))
    assert book.due(0.0, ()) == [(peer("a"), address("a", 1))]


def test_a_newer_address_of_an_ordinary_target_counts() -> None:
    book = PeerBook()
    book.add_target(address("a", 1))
    book.add_target(address("a", 2))
    assert book.due(0.0, ()) == [(peer("a"), address("a", 2))]


def test_a_full_book_of_targets_drops_the_one_that_failed_most_but_no_permanent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_DIAL_TARGETS", 2)
    book = PeerBook()
    book.add_target(address("boot"), permanent=True)
    book.dial_failed(peer("boot"), 0.0)
    book.dial_failed(peer("boot"), 0.0)
    book.add_target(address("a"))
    book.dial_failed(peer("a"), 0.0)
    book.add_target(address("b"))
    assert {peer_id for peer_id, _ in book.due(100.0, ())} == {peer("boot"), peer("b")}


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 5, 0.0)
    assert bucket.take(5, 0.0)
    assert not bucket.take(1, 0.05)
    assert bucket.take(1, 0.1)
    assert not bucket.take(6, 100.0)
    assert bucket.take(5, 100.0)


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(1, 3, 0.0)
    assert not bucket.take(4, 0.0)
    assert bucket.take(3, 0.0)


def test_answered_pings_go_on_for_ever() -> None:
    monitor = PingMonitor()
    for _ in range(10):
        nonce = monitor.next_ping()
        assert nonce is not None
        monitor.pong(nonce)
    assert monitor.missed == 0


def test_two_misses_in_a_row_end_it() -> None:
    monitor = PingMonitor()
    assert [monitor.next_ping() is None for _ in range(3)] == [False, False, True]


def test_the_answer_to_an_older_ping_does_not_count() -> None:
    monitor = PingMonitor()
    first = monitor.next_ping()
    monitor.next_ping()
    monitor.pong(first or 0)
    assert monitor.next_ping() is None
