"""Hyperbee blocks that no honest writer makes: always an error, never a wrong answer or a hang."""

from __future__ import annotations

from contextlib import suppress

import pytest

from hypercore.bee_blocks import BeeBlock, Header, Level, encode_index
from hypercore.errors import DecodeError
from hypercore.io.bee import Bee
from hypercore.io.core import Core
from hypercore.io.log import Log


def hostile(*levels: Level, key: bytes = b"m") -> Bee:
    """A bee whose newest block holds these nodes."""
    core = Core.create()
    blocks = [Header().encode()]
    blocks += [BeeBlock(number, b"%c" % (96 + number), b"", b"").encode() for number in range(1, 5)]
    blocks.append(BeeBlock(5, key, b"", encode_index(level.encode() for level in levels)).encode())
    core.append(blocks)
    return Bee(Log(core))


@pytest.mark.parametrize(
    "bee",
    [
        hostile(),
        hostile(Level((6,), ())),
        hostile(Level((0,), ())),
        hostile(Level((1,), ((5, 0), (6, 0)))),
        hostile(Level((1,), ((5, 0),))),
        hostile(Level((), ((5, 0),))),
        hostile(Level((1,), ((5, 7), (5, 7)))),
        hostile(Level((1, 2, 3, 4, 1, 2, 3, 4, 5), ())),
        hostile(Level((2, 1), ())),
        hostile(Level((1,), ((5, 0), (5, 0)))),
        hostile(Level((2,), ((5, 1), (5, 0))), Level((1,), ((5, 0), (5, 0)))),
    ],
)
async def test_trees_that_no_honest_writer_makes_end_in_an_error(bee: Bee) -> None:
    with pytest.raises(DecodeError):
        [entry async for entry in bee.entries()]
    for key in (b"0", b"z"):
        with suppress(DecodeError):
            await bee.get(key)


@pytest.mark.parametrize("first", [b"", b"\x0a\x05other", b"\xff", b"not a bee at all"])
async def test_cores_that_hold_no_bee_are_told_apart(first: bytes) -> None:
    core = Core.create()
    core.append([first, b"neither"])
    with pytest.raises(DecodeError):
        await Bee(Log(core)).header()
    with pytest.raises(DecodeError):
        await Bee(Log(core)).get("a")
