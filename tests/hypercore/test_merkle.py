import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercore import merkle
from hypercore.encoding import Reader, Writer
from hypercore.errors import BlockNotAvailable, DecodeError, InvalidProof, LocalProtocolError
from hypercore.manifest import Manifest, verifier_for
from hypercore.merkle import Growth, Node


def as_json(nodes: Any) -> list[dict[str, Any]]:
    return [{"index": node.index, "size": node.size, "hash": node.hash.hex()} for node in nodes]


def test_signed_heads_equal_the_golden_ones(vectors: Callable[[str], Any], content: Any, key_pair: Any) -> None:
    golden = vectors("03_merkle_signed_heads")
    for case in golden["cases"]:
        growth = merkle.append_batch((), [content(case["kind"], index) for index in range(case["length"])])
        manifest = None if case["compat"] else Manifest.default(key_pair.public_key)
        key = bytes.fromhex(case["key"])
        verifier = verifier_for(key, manifest)
        tree_hash = merkle.tree_hash(growth.roots)
        assert as_json(growth.roots) == case["roots"]
        assert tree_hash.hex() == case["treeHash"]
        assert merkle.byte_length(growth.roots) == case["byteLength"]
        assert verifier.signable(tree_hash, case["length"], case["fork"]).hex() == case["signable"]
        if manifest is not None:
            assert manifest.encode().hex() == case["manifestBytes"]
            assert manifest.key().hex() == case["manifestHash"]
        if case["signature"] is not None:
            assert verifier.sign(growth.roots, case["fork"], key_pair).hex() == case["signature"]
            assert verifier.verify(growth.roots, case["fork"], bytes.fromhex(case["signature"]))
        if isinstance(case.get("nodes"), list):
            assert as_json(sorted(growth.nodes, key=lambda node: node.index)) == case["nodes"]


@given(st.lists(st.integers(0, 6), max_size=8))
def test_appending_in_any_batches_gives_the_same_tree(sizes: list[int]) -> None:
    blocks = [bytes([number]) * number for number in range(sum(sizes))]
    roots: Any = ()
    position = 0
    for size in sizes:
        roots = merkle.append_batch(roots, blocks[position : position + size]).roots
        position += size
    assert list(roots) == merkle.append_batch((), blocks).roots


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=40))
def test_byte_offsets_are_sums_of_sizes(blocks: list[bytes]) -> None:
    growth = merkle.append_batch((), blocks)
    nodes = {node.index: node for node in growth.nodes}
    for index in range(len(blocks) + 1):
        offset = merkle.byte_offset(nodes.get, len(blocks), 2 * index)
        assert offset == sum(map(len, blocks[:index]))
    for node in growth.nodes:
        assert merkle.byte_offset(nodes.get, len(blocks), node.index) >= 0


def test_a_byte_offset_needs_the_nodes_on_its_left() -> None:
    nodes = {node.index: node for node in merkle.append_batch((), [b"x"] * 8).nodes}
    del nodes[3]
    assert merkle.byte_offset(nodes.get, 8, 4) == 2
    with pytest.raises(BlockNotAvailable, match="node 3"):
        merkle.byte_offset(nodes.get, 8, 8)
    with pytest.raises(LocalProtocolError):
        merkle.byte_offset(nodes.get, 8, 18)


@pytest.mark.parametrize("index", [0, 2, 3, 5, 7, 8])
def test_a_subtree_that_does_not_continue_the_tree_is_refused(index: int) -> None:
    growth = Growth.of(merkle.append_batch((), [b"a", b"b", b"c"]).roots)
    with pytest.raises(InvalidProof, match="does not continue"):
        growth.append_root(Node(index, 1, bytes(32)))


def test_a_subtree_above_the_largest_number_is_refused() -> None:
    with pytest.raises(InvalidProof, match="2\\^53"):
        merkle.parent(Node(0, 2**53 - 1, bytes(32)), Node(2, 1, bytes(32)))


def test_node_lists_are_bounded() -> None:
    nodes = [Node(index, 1, hashlib.sha256(bytes([index])).digest()) for index in range(5)]
    out = Writer()
    merkle.write_nodes(out, nodes)
    assert merkle.read_nodes(Reader(out.finish())) == tuple(nodes)
    with pytest.raises(DecodeError, match="at most 4"):
        merkle.read_nodes(Reader(out.finish()), 4)
    with pytest.raises(DecodeError):
        merkle.read_nodes(Reader(out.finish()[:-1]))
