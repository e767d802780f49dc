"""Random changes of a bee that both implementations carry out, and how Python does it."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from hypercore.crypto import KeyPair
from hypercore.io.bee import Bee
from hypercore.io.core import Core
from hypercore.io.log import Log

SEED = b"\x09" * 32


def random_operations(seed: int, count: int, batched: bool) -> list[Any]:
    """Puts, overwrites and deletes of present and absent keys, single and in batches."""
    generator = random.Random(seed)

    def one() -> list[Any]:
        key = f"k{generator.randrange(150):05d}"
        return ["put", key, f"v{generator.randrange(1000)}"] if generator.random() < 0.55 else ["del", key]

    operations: list[Any] = []
    while len(operations) < count:
        if batched and generator.random() < 0.5:
            operations.append(["batch", [one() for _ in range(generator.randrange(1, 40))]])
        else:
            operations.append(one())
    return operations


async def perform(bee: Bee, operations: list[Any]) -> None:
    """Carries them out."""
    for name, *arguments in operations:
        if name == "batch":
            async with bee.batch() as batch:
                for inner, *values in arguments[0]:
                    await (batch.put if inner == "put" else batch.delete)(*values)
        else:
            await (bee.put if name == "put" else bee.delete)(*arguments)


async def core_after(operations: list[Any]) -> Core:
    """A core in memory, of a fixed key, after the changes."""
    core = Core.create(key_pair=KeyPair.from_seed(SEED))
    await perform(Bee(Log(core)), operations)
    return core


def digest_of_blocks(core: Core) -> dict[str, Any]:
    """How many blocks there are, and a hash over the hex of each, one a line."""
    state = hashlib.sha256()
    for index in range(core.length):
        state.update(core.get(index).hex().encode() + b"\n")
    return {"count": core.length, "sha256": state.hexdigest()}
