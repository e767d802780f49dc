"""Which changes of a journal can be made again after a crash, and which of their contents."""

from collections.abc import Callable, Sequence

from hypercore import crypto
from hypercore.io.journal import Change, StoredBlock


def replayable(changes: Sequence[Change], read: Callable[[int, int], bytes]) -> list[list[StoredBlock]]:
    """The contents to restore for each change that has all its data, from the first on.

    `read(offset, size)` reads the data file. Blocks that a later change removed are left out: their place may hold
    other data by now, or none. The first change whose data are missing ends what can be replayed, and then nothing
    behind it excuses blocks that it had removed.
    """
    while True:
        removing = [number for number, change in enumerate(changes) if change.gives_up]
        contents: list[list[StoredBlock]] = []
        for number, change in enumerate(changes):
            later = [changes[after] for after in removing if after > number]
            staying = [block for block in change.blocks if not any(_removes(after, block.index) for after in later)]
            if not _have_data(change, staying, read):
                changes = changes[:number]
                break
            contents.append([block for block in staying if block.value is not None])
        else:
            return contents


def _have_data(change: Change, blocks: Sequence[StoredBlock], read: Callable[[int, int], bytes]) -> bool:
    hashes = {node.index: node.hash for node in change.nodes}
    return all(
        block.value is not None or crypto.leaf_hash(read(block.offset, block.size)) == hashes.get(2 * block.index)
        for block in blocks
    )


def _removes(change: Change, index: int) -> bool:
    if change.truncate_to is not None and change.truncate_to <= index:
        return True
    return any(start <= index < end and not value for start, end, value in change.bits)
