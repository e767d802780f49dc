"""What a storage proof costs on chain: the check of one leaf, and the whole call that answers a challenge.

    python -m benchmarks.proofs

A lane of a full contract (ten chunks of 64 KiB, sealed) has 652 leaves of 1 KiB. The whole call reads everything from
encoded state, checks each leaf, settles and pays; its time is given per leaf and for the challenge.
"""

from __future__ import annotations

import random
from typing import Final

from benchmarks.figures import Figure, median_seconds, progress, show
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import HostingStarted, NewStorageChallenge
from pallets.datdot.lane_tree import LANE_LEAVES_MAX, LEAF_BYTES, LaneTree, verify_leaf
from runtime.call import RuntimeCall
from runtime.origin import Signed
from runtime.state import Overlay
from tests.pallets.datdot.world import World

GOAL_MS: Final = 1
SEALED_CHUNK_BYTES: Final = 66_688
CHUNKS_PER_LANE: Final = 10
REPETITIONS: Final = 200


def leaf_figure(leaves: int, what: str) -> Figure:
    """The check of a leaf's path to the root of a lane of so many leaves."""
    data = random.Random(1).randbytes(leaves * LEAF_BYTES)
    tree = LaneTree.of_chunks(1, 0, [data])
    number = leaves // 2
    leaf, path = data[number * LEAF_BYTES : (number + 1) * LEAF_BYTES], tree.path(number)

    def check() -> None:
        assert verify_leaf(tree.root, leaves, 1, 0, number, leaf, path)

    spent_ms = 1_000 * median_seconds(check, REPETITIONS)
    return Figure(f"proof: check of one leaf, {what} of {leaves:,}", spent_ms, "ms", GOAL_MS)


def call_figures() -> list[Figure]:
    """The whole submit_storage_challenge, dispatched over encoded state."""
    world = World(DatDotConfig(response_window=20))
    world.join(1)
    world.staff(*range(2, 11))
    world.publish(world.people[1], [(0, 9)], world.number + 300)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3, limit=8)
    while not world.seen(NewStorageChallenge):
        world.block()
    opened = world.seen(NewStorageChallenge)[0]
    evidence = world.evidence(opened.challenge)
    origin = Signed(world.person(opened.hoster).account)
    call = RuntimeCall("DatDot", "submit_storage_challenge", {"challenge": opened.challenge, "evidence": evidence})

    def answer() -> None:
        with world.runtime.bind(Overlay(world.state)):
            assert world.runtime.dispatch(call, origin).error is None

    whole_ms = 1_000 * median_seconds(answer, REPETITIONS)
    return [
        Figure(f"proof: whole challenge of {len(evidence)} leaves, settled and paid", whole_ms, "ms"),
        Figure("proof: whole challenge, per leaf", whole_ms / len(evidence), "ms", GOAL_MS),
    ]


def figures() -> list[Figure]:
    """Run the benchmark."""
    progress("storage proofs")
    full_lane = -(-CHUNKS_PER_LANE * SEALED_CHUNK_BYTES // LEAF_BYTES)
    return [leaf_figure(full_lane, "full lane"), leaf_figure(LANE_LEAVES_MAX, "longest lane"), *call_figures()]


if __name__ == "__main__":
    show(figures())
