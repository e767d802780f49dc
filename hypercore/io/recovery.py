"""What an opening finds: which changes of a journal can be made again, and which blocks the data file lost."""

from collections.abc import Callable, Sequence, Set

from hypercore import crypto, merkle
from hypercore.bitfield import Bitfield
from hypercore.errors import BlockNotAvailable
from hypercore.io.journal import Change, StoredBlock
from hypercore.merkle import NodeReader


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


def beyond(
    data_bytes: int, read_node: NodeReader, length: int, here: Bitfield, replayed: Set[int]
) -> tuple[tuple[int, int], ...]:
    """Runs (first block, one past the last) of blocks that count as here, but end behind a data file of so many bytes.

    Empty blocks between two such blocks are among them, others are not. Blocks that the journal `replayed` have their
    content from there. Nothing is read but the sizes of a few tree nodes; a tree that is damaged there tells nothing.
    """
    last = here.last_set(length)

    def reaches(index: int) -> bool:
        end = merkle.byte_offset(read_node, length, 2 * index) + merkle.require(read_node, 2 * index).size
        if end > total:
            raise BlockNotAvailable(f"the tree above block {index} is damaged")
        return end > data_bytes

    try:
        total = merkle.byte_offset(read_node, length, 2 * length)
        while last is not None and reaches(last) and not merkle.require(read_node, 2 * last).size:
            last = here.last_set(last)
        if last is None or not reaches(last):
            return ()
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            candidate = here.first_set(middle)
            assert candidate is not None
            if reaches(candidate):
                high = middle
            else:
                low = candidate + 1
    except BlockNotAvailable:
        return ()
    runs: list[tuple[int, int]] = []
    for end in (*sorted(index for index in replayed if low <= index <= last), last + 1):
        runs += here.runs(low, end)
        low = end + 1
    return tuple(runs)


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
