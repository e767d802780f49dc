"""Byte offsets: found locally and with few questions to peers, whatever the block sizes and the padding."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import flat_tree
from hypercore.crypto import KeyPair
from hypercore.demand import MAXIMUM_SET_BLOCKS, DemandSet, Seek, Unknown, locate
from hypercore.errors import BlockNotAvailable, InvalidProof, LocalProtocolError
from hypercore.io.core import Core
from hypercore.messages import Data, NoData, Range, Request, Sync
from hypercore.proof import HashRequest, ProofRequest
from hypercore.replicate import Replicator
from hypercore.seeking import MAX_SEEKS
from tests.hypercore.replicas import Link, lone_peer, make_writer, replicator_of, said, tell

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def writer_of(sizes: list[int]) -> Core:
    writer = Core.create(key_pair=KeyPair.from_seed(b"\x01" * 32))
    writer.append([bytes([index % 251]) * size for index, size in enumerate(sizes)])
    return writer


def expected(sizes: list[int], offset: int) -> tuple[int, int]:
    for index, size in enumerate(sizes):
        if offset < size:
            return index, offset
        offset -= size
    return len(sizes), 0


def linked(writer: Core) -> tuple[Core, Replicator, Link]:
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    link.settle()
    return reader, replicator, link


def find(replicator: Replicator, link: Link, offset: int, padding: int = 0) -> tuple[int, int] | None:
    found: list[tuple[int, int]] = []
    seek = replicator.seek(offset, padding, lambda block, inside: found.append((block, inside)))
    link.settle()
    assert found == ([seek.found] if seek.found else [])
    return seek.found


@settings(max_examples=80)
@given(SIZES)
def test_every_byte_of_a_whole_log_is_found_locally(sizes: list[int]) -> None:
    writer = writer_of(sizes)
    for offset in range(sum(sizes) + 1):
        assert writer.seek(offset) == expected(sizes, offset)
    for outside in (-1, sum(sizes) + 1):
        with pytest.raises(LocalProtocolError):
            writer.seek(outside)


@settings(max_examples=60)
@given(SIZES, st.data())
def test_every_byte_of_a_log_that_is_elsewhere_is_found_by_asking(sizes: list[int], data: st.DataObject) -> None:
    writer = writer_of(sizes)
    _, replicator, link = linked(writer)
    for _ in range(3):
        offset = data.draw(st.integers(0, sum(sizes)))
        assert find(replicator, link, offset) == expected(sizes, offset)


def test_padding_is_not_counted() -> None:
    sizes = [8 + index % 5 for index in range(40)]
    writer = writer_of(sizes)
    plain = [size - 8 for size in sizes]
    reader, replicator, link = linked(writer)
    for offset in range(sum(plain)):
        assert writer.seek(offset, 8) == expected(plain, offset)
    assert find(replicator, link, 33, 8) == expected(plain, 33)
    assert not reader.has_range(0, 40)


def test_a_byte_in_a_large_log_takes_few_questions_and_two_blocks() -> None:
    chance = random.Random(7)
    sizes = [chance.randrange(1, 200) for _ in range(2000)]
    writer = writer_of(sizes)
    reader, replicator, link = linked(writer)
    offset = sum(sizes) * 2 // 3
    assert find(replicator, link, offset) == expected(sizes, offset)
    questions = [m for m in link.said[1] if isinstance(m, Request) and (m.proof.hash or m.proof.block)]
    assert len(questions) <= 12
    assert reader.bitfield.count() <= 2


def test_a_seek_beyond_the_log_waits_for_it_to_grow() -> None:
    writer = writer_of([10, 10])
    _, replicator, link = linked(writer)
    found: list[tuple[int, int]] = []
    replicator.seek(25, 0, lambda block, inside: found.append((block, inside)))
    link.settle()
    assert found == []
    writer.append(bytes(10))
    link.settle()
    assert found == [(2, 5)]


def reader_at(writer: Core) -> Core:
    return linked(writer)[0]


def test_a_refused_seek_is_asked_once_without_the_hint_and_then_of_others() -> None:
    writer = writer_of([10] * 16)
    peer = lone_peer(reader_at(writer))
    tell(peer, Sync(0, 16, 16), Range(0, 16))
    peer.replicator.seek(105, 0, lambda block, inside: None)
    (first,) = said(peer, Request)
    assert isinstance(first, Request)
    assert first.proof.seek is not None
    tell(peer, NoData(first.id, NoData.INVALID_REQUEST))
    (second,) = said(peer, Request)
    assert isinstance(second, Request)
    assert second.proof == replace(first.proof, seek=None)
    tell(peer, NoData(second.id, NoData.NOT_AVAILABLE))
    assert said(peer, Request) == []


def test_an_answer_about_another_node_or_with_forged_sizes_is_refused() -> None:
    writer = writer_of([10] * 16)
    for forge in (False, True):
        peer = lone_peer(reader_at(writer))
        tell(peer, Sync(0, 16, 16), Range(0, 16))
        peer.replicator.seek(105, 0, lambda block, inside: None)
        (question,) = said(peer, Request)
        assert isinstance(question, Request)
        assert question.proof.hash is not None
        if forge:
            proof = writer.proof(replace(question.proof, seek=None))
            assert proof.hash is not None
            top = proof.hash.nodes[-1]
            nodes = (*proof.hash.nodes[:-1], replace(top, size=top.size + 1))
            tell(peer, Data(question.id, replace(proof, hash=replace(proof.hash, nodes=nodes))))
            assert peer.paused
        else:
            other = writer.proof(ProofRequest(hash=HashRequest(question.proof.hash.index ^ 2, 2)))
            with pytest.raises(InvalidProof):
                tell(peer, Data(question.id, other))


def test_seeks_are_bounded_and_a_released_one_asks_nothing() -> None:
    writer = writer_of([10] * 16)
    peer = lone_peer(reader_at(writer))
    tell(peer, Sync(0, 16, 16), Range(0, 16))
    seeks = [peer.replicator.seek(10_000, 0, lambda block, inside: None) for _ in range(MAX_SEEKS)]
    with pytest.raises(LocalProtocolError, match="under way"):
        peer.replicator.seek(105, 0, lambda block, inside: None)
    for seek in seeks:
        peer.replicator.release_seek(seek)
    peer.replicator.release_seek(peer.replicator.seek(105, 0, lambda block, inside: None))
    assert said(peer, Request) == []


def test_a_local_seek_says_when_the_tree_is_not_here() -> None:
    reader = reader_at(writer_of([10] * 16))
    with pytest.raises(BlockNotAvailable):
        reader.seek(105)
    assert reader.seek(160) == (16, 0)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 63))
def test_the_likely_block_lies_in_the_subtree(size: int, depth: int, place: int) -> None:
    writer = make_writer(2)
    node = replace(writer.roots()[0], index=flat_tree.index_of(depth, place), size=size + 1)
    first, end = flat_tree.block_range(node.index)
    for remaining in (0, size // 2, size):
        assert first <= Unknown(node, remaining, 0).likely_block() < end


def test_a_set_of_blocks_is_fetched_and_nothing_else() -> None:
    writer = make_writer(100)
    reader, replicator, link = linked(writer)
    wanted = [3, 97, 42, 43, 200]
    demand = replicator.want_blocks(wanted)
    link.settle()
    assert [index for index in range(100) if reader.has(index)] == [3, 42, 43, 97]
    assert [index for index in range(300) if demand.covers(index)] == sorted(wanted)
    replicator.release(demand)
    with pytest.raises(LocalProtocolError, match="at once"):
        DemandSet(itertools.islice(itertools.count(), MAXIMUM_SET_BLOCKS + 1))
    assert DemandSet([]).next(link.ends[1].blocks, 0, 100) is None


def test_locate_and_seek_agree_with_an_empty_log() -> None:
    assert locate(lambda index: None, (), 0) == (0, 0)
    assert Seek(0, 0, lambda block, inside: None).found is None
