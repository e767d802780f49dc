from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercore import flat_tree


def test_relations_of_nodes_equal_the_golden_ones(vectors: Callable[[str], Any]) -> None:
    golden = vectors("02_flat_tree")
    for case in golden["index"] + golden["big"]:
        index = case["index"]
        children = flat_tree.children(index) or (-1, -1)
        ours = {
            "index": flat_tree.index_of(case["depth"], case["offset"]),
            "depth": flat_tree.depth(index),
            "offset": flat_tree.offset(index),
            "parent": flat_tree.parent(index),
            "sibling": flat_tree.sibling(index),
            "leftChild": children[0],
            "rightChild": children[1],
            "leftSpan": flat_tree.left_span(index),
            "rightSpan": flat_tree.right_span(index),
            "count": flat_tree.node_count(index),
            "countLeaves": flat_tree.leaf_count(index),
        }
        assert {name: ours[name] for name in case} == case


def test_full_roots_equal_the_golden_ones(vectors: Callable[[str], Any]) -> None:
    for length, roots in vectors("02_flat_tree")["fullRoots"].items():
        assert flat_tree.full_roots(int(length)) == roots


@pytest.mark.parametrize("index", [0, 1, 7, 10, 11, 1991])
def test_a_node_contains_exactly_its_span(index: int) -> None:
    span = range(flat_tree.left_span(index), flat_tree.right_span(index) + 1)
    for other in range(2 * index + 4):
        assert flat_tree.contains(index, other) == (other in span)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_cover_is_gapless_and_grows_one_tree_into_the_other(start: int, growth: int) -> None:
    position = start
    for index in flat_tree.cover(start, start + growth):
        assert flat_tree.left_span(index) == 2 * position
        position += flat_tree.leaf_count(index)
    assert position == start + growth


@given(st.integers(0, 2**53))
def test_parent_and_children_are_inverse(index: int) -> None:
    above = flat_tree.parent(index)
    assert index in (flat_tree.children(above) or ())
    assert flat_tree.parent(flat_tree.sibling(index)) == above
    assert flat_tree.block_range(above)[1] - flat_tree.block_range(above)[0] == flat_tree.leaf_count(above)
