from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import limits
from node.sync.machine import SyncMachine
from node.sync.types import BlockRef, ImportBlocks, ImportOutcome, RequestBlocks, RequestHash, SyncFault

from .fake_chain import FakeChain, make_envelope, received
from .simulation import Peer, Simulation


def chain(length: int, salt: str = "") -> FakeChain:
    return FakeChain().grow(length, salt)


def test_a_late_joiner_downloads_the_whole_chain() -> None:
    simulation = Simulation(chain(0), {"a": Peer(chain(700))}).connect_all().run()
    assert simulation.local.canonical == simulation.peers["a"].chain.canonical
    assert simulation.faults == []


def test_the_download_is_spread_over_all_peers_that_are_high_enough() -> None:
    remote = chain(1500)
    peers = {name: Peer(remote.copy()) for name in "abc"}
    simulation = Simulation(chain(0), peers).connect_all().run()
    assert simulation.local.best == remote.best
    assert all(peer.asked for peer in peers.values())


def test_a_peer_that_is_too_low_is_not_asked() -> None:
    remote = chain(600)
    low = Peer(FakeChain(dict(remote.blocks), remote.canonical[:10]))
    simulation = Simulation(chain(0), {"high": Peer(remote), "low": low}).connect_all().run()
    assert simulation.local.best == remote.best
    assert low.asked == []


def test_requests_never_reach_further_ahead_than_the_bound() -> None:
    simulation = Simulation(chain(0), {name: Peer(chain(3000)) for name in "ab"}).connect_all().run()
    assert simulation.local.best.number == 3000
    assert simulation.largest_ahead <= limits.MAX_BLOCKS_AHEAD


def test_a_peer_at_our_height_or_below_is_asked_nothing() -> None:
    base = chain(20)
    peers = {"equal": Peer(base.forked_at(10, 10, "fork")), "lower": Peer(base.forked_at(5, 3, "low"))}
    simulation = Simulation(base, peers).connect_all()
    assert list(simulation.queue) == []


def test_a_chain_that_extends_ours_takes_one_question_to_place() -> None:
    local = chain(50)
    machine = SyncMachine(local)
    remote = local.copy().grow(10)
    (question,) = machine.peer_connected("a", remote.best, 0)
    assert question == RequestHash("a", 1, 50)
    (request,) = machine.hash_received("a", 1, remote.canonical[50], 0)
    assert request == RequestBlocks("a", 2, 51, 10)


def test_a_longer_fork_replaces_our_own() -> None:
    base = chain(300)
    remote = base.forked_at(170, 140, "fork")
    local = base.copy()
    Simulation(local, {"a": Peer(remote)}).connect_all().run()
    assert local.canonical == remote.canonical


def test_an_announced_child_of_a_known_block_is_requested_at_once() -> None:
    local = chain(9)
    remote = local.copy()
    simulation = Simulation(local, {"a": Peer(remote)}).connect_all().run()
    remote.grow(1)
    simulation.announce("a", remote.canonical[9])
    assert list(simulation.queue) == [RequestBlocks("a", 1, 10, 1)]
    assert simulation.run().local.best == remote.best


def test_an_announcement_of_a_known_block_asks_nothing() -> None:
    local = chain(9)
    simulation = Simulation(local, {"a": Peer(local.copy())}).connect_all()
    simulation.announce("a", local.canonical[8])
    assert list(simulation.queue) == []


def test_an_announcement_of_a_stranger_is_ignored() -> None:
    machine = SyncMachine(chain(1))
    assert machine.peer_announced("nobody", BlockRef(99, bytes(32)), None, 0) == []


def test_short_answers_are_completed_by_further_requests() -> None:
    peer = Peer(chain(300), max_blocks=7)
    simulation = Simulation(chain(0), {"a": peer}).connect_all().run()
    assert simulation.local.best == peer.chain.best
    assert simulation.faults == []


def test_a_peer_that_stalls_is_given_up_and_another_is_asked() -> None:
    remote = chain(400)
    peers = {"z": Peer(remote.copy(), silent=True), "a": Peer(remote)}  # the first to connect is the target
    simulation = Simulation(chain(0), peers).connect_all().run()
    assert simulation.local.best.number == 0
    simulation.advance(limits.HASH_REQUEST_TIMEOUT_SECONDS - 0.1)
    assert simulation.faults == []
    simulation.advance(0.2)
    simulation.run()
    assert [(fault.peer, fault.fault) for fault in simulation.faults] == [("z", SyncFault.Stalled)]
    assert simulation.local.best == remote.best


def test_a_helper_that_stalls_does_not_hold_the_download_for_ever() -> None:
    remote = chain(900)
    peers = {"z": Peer(remote), "helper": Peer(remote.copy(), silent=True)}
    simulation = Simulation(chain(0), peers).connect_all().run()
    simulation.advance(limits.BLOCK_REQUEST_TIMEOUT_SECONDS)
    simulation.run()
    assert simulation.local.best == remote.best
    assert [fault.peer for fault in simulation.faults] == ["helper"]


def _blame_of_blocks(blocks: object) -> list[SyncFault]:
    remote = chain(40)
    liar = Peer(remote.copy(), blocks=blocks)  # type: ignore[arg-type]
    simulation = Simulation(chain(0), {"z": liar, "a": Peer(remote)}).connect_all().run()
    assert simulation.local.best == remote.best
    assert {fault.peer for fault in simulation.faults} == {"z"}
    return [fault.fault for fault in simulation.faults]


def test_a_peer_without_the_blocks_that_it_announced_is_dropped() -> None:
    assert _blame_of_blocks(lambda start, count: []) == [SyncFault.Empty]


def test_a_peer_that_answers_with_other_numbers_is_dropped() -> None:
    remote = chain(40)
    blocks = [remote.blocks[block_hash] for block_hash in remote.canonical]
    assert _blame_of_blocks(lambda start, count: blocks[start + 1 : start + count]) == [SyncFault.WrongAnswer]


def test_a_peer_that_answers_with_too_many_blocks_is_dropped() -> None:
    remote = chain(41)
    blocks = [remote.blocks[block_hash] for block_hash in remote.canonical]
    assert _blame_of_blocks(lambda start, count: blocks[start : start + count + 1]) == [SyncFault.WrongAnswer]


def test_a_peer_whose_blocks_are_not_linked_is_dropped() -> None:
    loose = [received(make_envelope(bytes([7]) * 32, number)) for number in range(60)]
    assert _blame_of_blocks(lambda start, count: loose[start : start + count]) == [SyncFault.Unlinked]


def test_a_target_whose_linked_blocks_never_join_our_chain_is_dropped() -> None:
    parent, blocks = bytes([9]) * 32, []
    for number in range(60):
        envelope = make_envelope(parent, number)
        blocks.append(received(envelope))
        parent = blocks[-1].summary.hash
    assert _blame_of_blocks(lambda start, count: blocks[start : start + count]) == [SyncFault.Inconsistent]


def test_a_peer_without_the_hash_that_it_announced_is_dropped() -> None:
    liar = Peer(chain(40), hash_of=lambda number: None)
    simulation = Simulation(chain(0), {"z": liar}).connect_all().run()
    assert [fault.fault for fault in simulation.faults] == [SyncFault.Empty]


def test_a_chain_that_differs_below_our_finalized_block_is_refused() -> None:
    local = chain(60)
    local.finalized_number = 40
    remote = chain(100, "other")
    simulation = Simulation(local, {"z": Peer(remote)}).connect_all().run()
    assert [fault.fault for fault in simulation.faults] == [SyncFault.OtherChain]
    assert local.best.number == 60


def test_an_invalid_block_costs_its_sender_and_is_not_imported_from_the_next_one_either() -> None:
    good = chain(30)
    bad = good.forked_at(10, 40, "bad")
    local = chain(0)
    local.invalid.add(bad.canonical[25])
    peers = {"good": Peer(good), "bad1": Peer(bad), "bad2": Peer(bad.copy())}
    simulation = Simulation(local, peers).connect_all().run()
    assert {fault.peer for fault in simulation.faults} == {"bad1", "bad2"}
    assert {fault.fault for fault in simulation.faults} == {SyncFault.InvalidBlock}
    assert local.best == good.best


def test_a_helper_on_another_fork_does_not_cost_the_target_anything() -> None:
    target = chain(900)
    fork = target.forked_at(100, 795, "fork")
    peers = {"target": Peer(target), "helper": Peer(fork)}
    simulation = Simulation(chain(0), peers).connect_all().run()
    assert simulation.local.canonical == target.canonical
    assert simulation.faults == []


def test_a_target_that_disconnects_is_replaced() -> None:
    remote = chain(500)
    peers = {"z": Peer(remote, silent=True), "a": Peer(remote.copy())}
    simulation = Simulation(chain(0), peers).connect_all().run()
    simulation.queue.extend(simulation.machine.peer_disconnected("z", 0))
    simulation.run()
    assert simulation.local.best == remote.best
    assert simulation.faults == []


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    machine = SyncMachine(chain(3))
    machine.peer_connected("a", BlockRef(10, bytes(32)), 0)
    assert machine.hash_received("a", 99, bytes(32), 0) == []
    assert machine.blocks_received("a", 1, [], 0) == []
    assert machine.blocks_received("stranger", 1, [], 0) == []


def test_one_answer_counts_once() -> None:
    local = chain(50)
    machine = SyncMachine(local)
    remote = local.copy().grow(3)
    machine.peer_connected("a", remote.best, 0)
    machine.hash_received("a", 1, remote.canonical[50], 0)
    blocks = [remote.blocks[block_hash] for block_hash in remote.canonical[51:]]
    assert machine.blocks_received("a", 2, blocks, 0) == [ImportBlocks(tuple(blocks))]
    assert machine.blocks_received("a", 2, blocks, 0) == []


def test_reporting_a_block_that_is_not_being_imported_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="not the next one"):
        SyncMachine(chain(0)).imported(bytes(32), ImportOutcome.Imported, "", 0)


def test_major_syncing_means_more_than_a_few_blocks_behind() -> None:
    local = chain(10)
    machine = SyncMachine(local)
    machine.peer_connected("a", BlockRef(10 + limits.MAJOR_SYNC_BLOCKS, bytes(32)), 0)
    assert not machine.is_major_syncing
    machine.peer_announced("a", BlockRef(11 + limits.MAJOR_SYNC_BLOCKS, bytes(32)), None, 0)
    assert machine.is_major_syncing
    assert machine.best_seen == 11 + limits.MAJOR_SYNC_BLOCKS


@settings(max_examples=40)
@given(
    common=st.integers(0, 60),
    ours=st.integers(0, 60),
    theirs=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 150), st.integers(1, 128)), min_size=1, max_size=4),
)
def test_whatever_the_forks_we_end_on_a_longest_chain_and_blame_nobody(
    common: int, ours: int, theirs: list[tuple[int, int, int]]
) -> None:
    base = chain(common)
    local = base.copy().grow(ours, "ours")
    peers = {
        f"peer{index}": Peer(base.forked_at(min(fork, common), length, f"fork{index}"), max_blocks=max_blocks)
        for index, (fork, length, max_blocks) in enumerate(theirs)
    }
    simulation = Simulation(local, peers).connect_all().run()
    highest = max([common + ours, *(peer.chain.best.number for peer in peers.values())])
    assert local.best.number == highest
    assert simulation.faults == []


@settings(max_examples=40)
@given(length=st.integers(1, 400), data=st.data())
def test_one_honest_peer_is_enough_whatever_the_others_do(length: int, data: st.DataObject) -> None:
    remote = chain(length)
    all_blocks = [remote.blocks[block_hash] for block_hash in remote.canonical]
    lies = {
        "empty": lambda start, count: [],
        "shifted": lambda start, count: all_blocks[start - 1 : start - 1 + count],
        "reversed": lambda start, count: all_blocks[start : start + count][::-1],
        "truncated": lambda start, count: all_blocks[start : start + 1],
        "loose": lambda start, count: [received(make_envelope(bytes(32), start + i, "x")) for i in range(count)],
    }
    chosen = data.draw(st.lists(st.sampled_from(["silent", *lies]), max_size=4))
    peers = {"m": Peer(remote)}
    for index, kind in enumerate(chosen):
        name = data.draw(st.sampled_from("az")) + str(index)
        peers[name] = Peer(remote.copy(), silent=kind == "silent", blocks=lies.get(kind))
    simulation = Simulation(chain(0), peers).connect_all().run()
    for _ in range(len(peers) + 1):
        simulation.advance(limits.BLOCK_REQUEST_TIMEOUT_SECONDS)
        simulation.run()
    assert simulation.local.best == remote.best
    assert "m" not in {fault.peer for fault in simulation.faults}
