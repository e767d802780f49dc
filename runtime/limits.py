"""Named bounds of the runtime: every loop, list, cache and nesting in runtime/ stops at one of these."""

from __future__ import annotations

BLOCK_LENGTH_BYTES = 5 * 1024 * 1024
"""Sum of the encoded lengths of a block's extrinsics (FRAME's BlockLength)."""

EXTRINSIC_LENGTH_BYTES = 512 * 1024
"""One extrinsic, length prefix included; refused before anything is decoded. Peers pass on none that is longer."""

EXTRINSICS_PER_BLOCK = 65_536
"""Number of extrinsics in a block's body."""

DIGEST_ITEMS = 16
"""Items of a header's digest."""

CALL_DEPTH = 16
"""Calls inside calls (batch in batch in sudo …), counted while decoding and while dispatching."""

STORAGE_TRANSACTIONS = 64
"""Nested storage transactions of one extrinsic."""

SIGNED_PAYLOAD_BYTES = 256
"""A longer signing payload is replaced by its BLAKE2b-256 digest before it is signed (FRAME's rule)."""

SIGNATURE_CACHE_ENTRIES = 16_384
"""Verified (account, signature, message) triples that are not verified again."""

ADDITIONAL_CACHE_ENTRIES = 256
"""Encoded "additional signed" parts remembered, one per era block that transactions name."""

STORAGE_KEY_CACHE_ENTRIES = 16_384
"""Hashed storage keys remembered per storage item."""

STORAGE_KEY_BYTES = 511
"""The longest storage key: what a key of the database may have."""

RAW_STORAGE_ITEMS = 4_096
"""Keys that one call may write or kill by their raw bytes."""

KEYS_PAGE = 256
"""Keys read at a time while a storage item is iterated."""

ERA_PERIOD_BLOCKS_MINIMUM = 4
ERA_PERIOD_BLOCKS_MAXIMUM = 65_536
