"""Named bounds of the service roles: frames, waits, memory, disk. Sizes in bytes, times in seconds unless named."""

from typing import Final

from node.limits import KIB, MIB

# Frames of a lane stream
LANE_CHUNKS_MAX: Final = 255
HEAD_PROOF_MAX_BYTES: Final = 16 * KIB
BLOCK_PROOF_MAX_BYTES: Final = 8 * KIB
LANE_STREAMS_PER_ACCOUNT: Final = 128
LANE_STREAMS_PER_PEER: Final = 32
LANES_KEPT_PER_POSITION: Final = 4  # copies with different keys of one lane, after restarts of its encoder or attestor

# Waits
GREETING_SECONDS: Final = 20.0
FRAME_SECONDS: Final = 90.0  # an encoder with a long queue of jobs may take this long for one chunk
STORED_SECONDS: Final = 60.0
GOODBYE_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 60.0  # without any progress
RETRY_FIRST_SECONDS: Final = 0.25
RETRY_LARGEST_SECONDS: Final = 15.0
REPORT_MARGIN_BLOCKS: Final = 2  # between a report and its deadline, so that one block may miss it
SHARE_FETCH_SECONDS: Final = 600.0

# Hosting
OPENED_CACHE_BYTES: Final = 8 * MIB
OPENINGS_AT_ONCE: Final = 4
OPENINGS_WAITING_MAX: Final = 2_048  # further requests are told that the block is not to be had
DISK_RESERVE_BYTES: Final = 64 * MIB  # never filled, so that the chain database and the logs can go on
ERASE_AFTER_BLOCKS: Final = 256  # behind finality: nothing newer than this is folded by the store either
READERS_MAX: Final = 256
EVIDENCE_PER_CALL: Final = 64

# Sharing
SHARE_BLOCK_BYTES: Final = 64 * KIB
SHARE_BATCH_BLOCKS: Final = 64
SHARE_SIZES_PROOF_BLOCKS: Final = 1_024
READ_BACK_SECONDS: Final = 120.0
