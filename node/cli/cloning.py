"""`datdot core clone`: a whole core from peers that may come and go, with what is here already kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import trio

from hypercore.io.core import Core
from hypercore.io.events import CoreEvent, Downloaded
from hypercore.io.replication import Replication, open_replication
from node.cli.links import Address, meeting
from node.cli.output import Refused
from node.cli.progress import progress_bar
from node.config import NOWHERE, FindingConfig


async def clone(
    key: str, peers: Sequence[Address], directory: Path, patience_seconds: float, where: FindingConfig = NOWHERE
) -> Core:
    """The complete copy, open, from `peers` and whoever is found.

    Raises Refused when no peer answers, all of those named say that they do not have the core while no others are
    looked for, or none brings a block for `patience_seconds`.
    What came before a failure or a stop is kept, and fetched no second time.
    """
    is_new = not await trio.Path(directory).exists()
    core = await trio.to_thread.run_sync(Core.open, directory, key)
    try:
        is_needed = core.length == 0 or core.contiguous_length < core.length
        async with (
            open_replication() as replication,
            meeting(replication, core, peers, where, is_needed=is_needed),
        ):
            await _download(replication, core, patience_seconds)
    except BaseException:
        core.close()
        if is_new and core.length == 0:
            shutil.rmtree(directory)
        raise
    return core


async def _download(replication: Replication, core: Core, patience_seconds: float) -> None:
    done = core.stored_bytes()
    with progress_bar("cloning") as show, trio.CancelScope(deadline=trio.current_time() + patience_seconds) as scope:

        def heard(event: CoreEvent) -> None:
            nonlocal done
            scope.deadline = trio.current_time() + patience_seconds
            if isinstance(event, Downloaded):
                done += core.block_bytes(event.index)
                show(done, core.byte_length)

        unsubscribe = core.subscribe(heard)
        try:
            if core.length == 0:
                await replication.update(core)
            await replication.download(core)
        finally:
            unsubscribe()
    if scope.cancelled_caught:
        raise Refused(_what_is_here(core, patience_seconds, replication))


def _what_is_here(core: Core, patience_seconds: float, replication: Replication) -> str:
    linked = f"{len(replication.sessions)} peers are connected"
    if not replication.sessions and core.length == 0:
        return "nobody serves this core: name a peer that does, HOST:PORT"
    if core.length == 0:
        return f"no peer told of this core within {patience_seconds:g} s ({linked}): check the key and the addresses"
    here = f"{core.stored_bytes()} of {core.byte_length} bytes are here"
    return f"no block came for {patience_seconds:g} s ({linked}): {here}; the same command goes on from there"
