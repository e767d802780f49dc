"""Hyperbee: JavaScript's blocks byte by byte, and a plain dictionary as the model of what it must answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.bee import Entry
from hypercore.bee_blocks import BeeBlock, Header, encode_index
from hypercore.bee_read import Difference
from hypercore.crypto import KeyPair
from hypercore.errors import BlockNotAvailable, LocalProtocolError, ReadOnly
from hypercore.io.bee import Bee, BeeView
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.log import Log

PATIENCE_SECONDS = 30

KEYS = st.binary(min_size=1, max_size=2)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "delete"]), st.sampled_from([b"%03d" % n for n in range(60)])),
    max_size=150,
)


def new_bee() -> Bee:
    return Bee(Log(Core.create()))


async def content(view: BeeView, **bounds: Any) -> dict[bytes, bytes | None]:
    return {entry.key: entry.value async for entry in view.entries(**bounds)}


async def perform(bee: Bee, operations: list[Any]) -> None:
    for name, *arguments in operations:
        if name == "put":
            await bee.put(*arguments)
        elif name == "del":
            await bee.delete(*arguments)
        else:
            async with bee.batch() as batch:
                for inner, *values in arguments[0]:
                    await (batch.put if inner == "put" else batch.delete)(*values)


async def test_every_block_is_the_one_that_javascript_writes(vectors: Callable[[str], Any], key_pair: KeyPair) -> None:
    vector = vectors("16_hyperbee")
    core = Core.create(key_pair=key_pair)
    await perform(Bee(Log(core)), vector["ops"])
    assert core.key.hex() == vector["key"]
    assert [core.get(index).hex() for index in range(core.length)] == [block["hex"] for block in vector["blocks"]]


async def test_reads_of_what_javascript_wrote(vectors: Callable[[str], Any]) -> None:
    vector = vectors("16_hyperbee")
    core = Core.create()
    core.append([bytes.fromhex(block["hex"]) for block in vector["blocks"]])
    bee = Bee(Log(core))
    assert bee.version == vector["version"]
    assert await bee.header() == Header()

    async def triples(**options: Any) -> list[list[Any]]:
        return [
            [entry.key.decode(), (entry.value or b"").decode(), entry.number] async for entry in bee.entries(**options)
        ]

    expected = vector["expected"]
    assert await triples() == expected["all"]
    assert await triples(gte="k03", lt="k07") == expected["range_gte_k03_lt_k07"]
    assert await triples(reverse=True, limit=3) == expected["reverse_limit3"]
    for key, answer in expected["gets"].items():
        found = await bee.get(key)
        assert found == (answer and Entry(answer["seq"], key.encode(), answer["value"].encode()))


def test_blocks_decode_and_encode_to_the_same_bytes(vectors: Callable[[str], Any]) -> None:
    for stored in vectors("16_hyperbee")["blocks"][1:]:
        block = BeeBlock.decode(stored["seq"], bytes.fromhex(stored["hex"]))
        assert block.encode().hex() == stored["hex"]
        assert [
            {"keys": list(level.keys), "children": [number for child in level.children for number in child]}
            for level in block.levels
        ] == stored["index"]
        index = encode_index(level.encode() for level in block.levels)
        assert BeeBlock(block.number, block.key, block.value, index).encode() == block.encode()
        assert block.is_deletion is (stored["value"] is None)


@pytest.mark.parametrize(
    "header", [Header(), Header(metadata=True), Header(True, content_key=bytes(32)), Header(True, None, b"mine")]
)
def test_headers_round_trip(header: Header) -> None:
    assert Header.decode(header.encode()) == header


@settings(max_examples=25)
@given(CHANGES, st.integers(0, 12))
def test_it_answers_as_a_dictionary_does_at_every_version(changes: list[tuple[str, bytes]], batch_size: int) -> None:
    async def check() -> None:
        bee = new_bee()
        model: dict[bytes, bytes] = {}
        versions = {1: dict(model)}
        steps = [changes[n : n + max(1, batch_size)] for n in range(0, len(changes), max(1, batch_size))]
        for step in steps:
            async with bee.batch() as batch:
                for kind, key in step:
                    if kind == "put":
                        model[key] = b"%d" % len(model)
                        await batch.put(key, model[key])
                    else:
                        assert await batch.delete(key) is (model.pop(key, None) is not None)
                    found = await batch.get(key)
                    assert (found and found.value) == model.get(key)
            versions[max(1, bee.version)] = dict(model)
        for version, then in versions.items():
            view = bee.checkout(version)
            assert await content(view) == dict(sorted(then.items()))
            assert [entry.key async for entry in view.entries(reverse=True)] == sorted(then, reverse=True)
            for key in (b"000", b"030", b"059"):
                found = await view.get(key)
                assert (found and found.value) == then.get(key)

    trio.run(check)


@settings(max_examples=25)
@given(CHANGES, KEYS, KEYS, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 10))
def test_ranges_are_slices_of_the_sorted_keys(
    changes: list[tuple[str, bytes]], low: bytes, high: bytes, open_low: bool, open_high: bool, back: bool, limit: int
) -> None:
    async def check() -> None:
        bee = new_bee()
        async with bee.batch() as batch:
            for kind, key in changes:
                await (batch.put(key, b"") if kind == "put" else batch.delete(key))
        keys = sorted(await content(bee), reverse=back)
        wanted = [
            key
            for key in keys
            if (key > low if open_low else key >= low) and (key < high if open_high else key <= high)
        ]
        bounds = {"gt" if open_low else "gte": low, "lt" if open_high else "lte": high}
        assert [entry.key async for entry in bee.entries(**bounds, reverse=back)] == wanted
        assert [entry.key async for entry in bee.entries(**bounds, reverse=back, limit=limit)] == wanted[:limit]
        first = await bee.peek(**bounds, reverse=back)
        assert (first and first.key) == (wanted[0] if wanted else None)

    trio.run(check)


@settings(max_examples=25)
@given(CHANGES, st.integers(1, 200), st.integers(1, 200), st.booleans(), st.integers(0, 60))
def test_differences_are_those_of_two_dictionaries(
    changes: list[tuple[str, bytes]], one: int, other: int, bounded: bool, low: int
) -> None:
    async def check() -> None:
        bee = new_bee()
        for kind, key in changes:
            await (bee.put(key, b"") if kind == "put" else bee.delete(key))
        new, old = bee.checkout(min(one, bee.version)), bee.checkout(min(other, bee.version))
        bounds = {"gte": b"020", "lt": b"040"} if bounded else {}
        after = {entry.key: entry async for entry in new.entries(**bounds)}
        before = {entry.key: entry async for entry in old.entries(**bounds)}
        expected = [
            Difference(after.get(key), before.get(key))
            for key in sorted({*after, *before})
            if after.get(key) != before.get(key)
        ]
        assert [found async for found in new.differences(old, **bounds)] == expected
        assert [found async for found in new.differences(old, **bounds, limit=3)] == expected[:3]
        if not bounded:
            above = [found for found in expected if found.key > b"%03d" % low]
            assert [found async for found in new.differences(old, gt=b"%03d" % low)] == above

    trio.run(check)


async def test_differences_begin_behind_any_key() -> None:
    bee = new_bee()
    keys = [b"%03d" % number for number in range(60)]
    for key in keys:
        await bee.put(key, b"1")
    for number, key in enumerate(keys):
        assert [found.key async for found in bee.differences(1, gt=key)] == keys[number + 1 :]
        assert [found.key async for found in bee.differences(1, gte=key, lte=key)] == [key]
        assert [found.key async for found in bee.checkout(1).differences(bee, gt=key, limit=1)] == keys[number + 1 :][
            :1
        ]


async def test_the_history_tells_every_change() -> None:
    bee = new_bee()
    await perform(bee, [("put", "a", "1"), ("put", "b", None), ("del", "a"), ("put", "a", "2")])
    steps = [(change.kind, change.entry.key, change.entry.value) async for change in bee.history()]
    assert steps == [("put", b"a", b"1"), ("put", b"b", None), ("delete", b"a", None), ("put", b"a", b"2")]
    assert [change.entry.number async for change in bee.history(2, 4)] == [2, 3]
    assert [change.entry.number async for change in bee.history(reverse=True)] == [4, 3, 2, 1]
    assert [change async for change in new_bee().history()] == []


async def test_parts_under_a_prefix_do_not_see_each_other() -> None:
    bee = new_bee()
    one, two = bee.sub("one"), bee.sub("two")
    deep = one.sub("deep")
    await one.put("k", b"1")
    await two.put("k", b"2")
    await deep.put("k", b"3")
    await bee.put("zzz", b"4")
    assert await content(one) == {b"deep\x00k": b"3", b"k": b"1"}
    assert await content(two) == {b"k": b"2"}
    assert await content(deep) == {b"k": b"3"}
    assert await content(one, gt="deep\x00z") == {b"k": b"1"}
    assert await content(bee, lt="p") == {b"one\x00deep\x00k": b"3", b"one\x00k": b"1"}
    assert [found.key async for found in two.differences(1)] == [b"k"]
    found = await one.get("k")
    assert found == Entry(1, b"k", b"1")
    assert await one.delete("k")
    assert await two.get("k") is not None
    assert await content(one.checkout(2)) == {b"k": b"1"}


async def test_a_comparison_decides_whether_a_change_happens() -> None:
    bee = new_bee()
    assert await bee.put("a", b"1", compare=lambda present, new: False)
    assert not await bee.put("a", b"2", compare=lambda present, new: present.value == b"other")
    assert await bee.put("a", b"2", compare=lambda present, new: (present.value, new.value) == (b"1", b"2"))
    assert not await bee.delete("a", compare=lambda present: present.number == 1)
    assert bee.version == 3
    assert await bee.delete("a", compare=lambda present: present == Entry(2, b"a", b"2"))
    part = bee.sub("p")
    await part.put("k", b"1")
    assert await part.delete("k", compare=lambda present: present.key == b"k")


async def test_a_batch_is_all_or_nothing() -> None:
    bee = new_bee()
    with pytest.raises(ValueError, match="stop"):
        async with bee.batch() as batch:
            await batch.put("a", b"1")
            raise ValueError("stop")
    assert bee.version == 0
    async with bee.batch():
        pass
    assert bee.log.length == 0
    async with bee.batch() as batch:
        await batch.put("a", b"1")
        assert await bee.get("a") is None
        assert await batch.get("b") is None
    assert bee.version == 2


async def test_writers_wait_for_each_other() -> None:
    bee = new_bee()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(bee.put, b"%02d" % number, b"")
    assert list(await content(bee)) == [b"%02d" % number for number in range(20)]


async def test_a_log_that_changes_under_a_batch_is_an_error() -> None:
    bee = new_bee()
    await bee.put("a", b"1")
    with pytest.raises(LocalProtocolError, match="changed under a batch"):
        async with bee.batch() as batch:
            await batch.put("b", b"2")
            bee.log.append(b"something else")


async def test_after_a_truncation_the_older_tree_is_read() -> None:
    bee = new_bee()
    for number in range(20):
        await bee.put(b"%02d" % number, b"old")
    bee.log.core.truncate(11)
    assert list(await content(bee)) == [b"%02d" % number for number in range(10)]
    await bee.put("10", b"new")
    found = await bee.get("10")
    assert found == Entry(11, b"10", b"new")


async def test_watchers_hear_only_of_what_they_watch() -> None:
    bee = new_bee()
    await bee.put("a", b"1")
    watch = bee.watch(gte="b")
    seen: list[tuple[int, int]] = []
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:

            async def follow() -> None:
                async for new, old in watch:
                    seen.append((old.version, new.version))
                    if len(seen) == 2:
                        return

            nursery.start_soon(follow)
            await trio.testing.wait_all_tasks_blocked()
            await bee.put("a", b"2")
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            await bee.put("b", b"1")
            await trio.testing.wait_all_tasks_blocked()
            assert seen == [(2, 4)]
            bee.log.core.truncate(3)
            await bee.put("c", b"1")
    assert seen == [(2, 4), (3, 4)]


async def test_a_reader_cannot_write() -> None:
    bee = Bee(Log(Core.open(key=bytes(32))))
    assert not bee.writable
    with pytest.raises(ReadOnly):
        await bee.put("a", b"1")
    with pytest.raises(BlockNotAvailable):
        await bee.header()
    assert await bee.get("a") is None
    assert await content(bee) == {}


@pytest.mark.parametrize("bounds", [{"gt": "a", "gte": "a"}, {"lt": "a", "lte": "a"}], ids=["two lower", "two upper"])
def test_a_range_has_one_bound_on_each_side(bounds: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError, match="one lower and one upper"):
        new_bee().entries(**bounds)


def test_there_is_no_version_below_zero() -> None:
    with pytest.raises(LocalProtocolError, match="not a version"):
        new_bee().checkout(-1)


async def test_a_bee_is_read_from_peers_without_downloading_it_whole() -> None:
    ours, theirs = Corestore(), Corestore()
    bee = Bee(ours.get("bee"))
    async with bee.batch() as batch:
        for number in range(2000):
            await batch.put(b"%04d" % number, b"value %d" % number)
    with trio.fail_after(PATIENCE_SECONDS):
        async with ours.replicate() as serving, theirs.replicate() as reading, Bee(theirs.get(key=bee.key)) as copy:
            await reading.connect("127.0.0.1", await serving.listen())
            assert await copy.update() == 2001
            found = await copy.get("1234")
            assert found == Entry(1235, b"1234", b"value 1234")
            here = sum(copy.log.core.has(index) for index in range(2001))
            assert 0 < here < 60
            assert await content(copy, gte="0100", lt="0110") == {
                b"%04d" % number: b"value %d" % number for number in range(100, 110)
            }
            assert len(await content(copy)) == 2000
            watch = copy.watch()
            await bee.put("new", b"1")
            new, old = await anext(watch)
            assert (old.version, new.version) == (2001, 2002)
            assert await copy.get("new") == Entry(2001, b"new", b"1")
