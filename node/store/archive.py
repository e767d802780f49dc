"""What an archiving store keeps: the states of all blocks since it began to archive, as trie nodes."""

from __future__ import annotations

from typing import Final

from node.store.database import Database
from node.store.folding import number_key

_ARCHIVED_FROM: Final = b"archived from"


def archived_from(database: Database, oldest_state: int, *, archive: bool) -> int | None:
    """The first block whose state is kept for good, None when the store does not archive; to be asked once at opening.

    Archiving begins with the oldest state at hand. To open the store without it ends it: nodes are erased from then on.
    """
    stored = database.get("meta", _ARCHIVED_FROM)
    if archive and stored is not None:
        return int.from_bytes(stored, "big")
    if archive or stored is not None:
        with database.write() as txn:
            if archive:
                txn.put(_ARCHIVED_FROM, number_key(oldest_state), db=database.tables["meta"])
            else:
                txn.delete(_ARCHIVED_FROM, db=database.tables["meta"])
    return oldest_state if archive else None
