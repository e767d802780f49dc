"""Named bounds of the JSON-RPC port."""

MAX_CONNECTIONS = 2_048
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_BYTES = MAX_BODY_BYTES
MAX_BATCH_CALLS = 1_000
MAX_STRETCH_SECONDS = 0.005
"""Other clients get their turn when a batch has taken so long."""
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""Of the answer to a call, and of all answers to a batch."""
MAX_SUBSCRIPTIONS_PER_CONNECTION = 512
MAX_CALLS_AT_ONCE_PER_CONNECTION = 64
OUTGOING_QUEUE_MESSAGES = 2_048
"""A client that leaves this many notifications unread is disconnected."""
READ_TIMEOUT_SECONDS = 60
"""For one HTTP request to arrive whole; an idle kept-alive or WebSocket connection may stay."""
IDLE_TIMEOUT_SECONDS = 600
MAX_KEYS_PER_PAGE = 1_000
MAX_STORAGE_KEYS = 4_096
MAX_KEYS_AT_ONCE = 100_000
"""What the unsafe methods without pages answer at most."""
MAX_FOLLOWS_PER_CONNECTION = 4
MAX_PINNED_BLOCKS = 512
"""On the whole node, however many clients hold a block."""
MAX_PIN_SECONDS = 60
"""When the node's pins are used up, clients that held a block longer are stopped."""
MAX_LAG_BLOCKS = 128
"""`chainHead_v1_follow` stops when the best block is farther above the finalized one."""
MAX_OPERATIONS_PER_FOLLOW = 16
STORAGE_ITEMS_PER_PAGE = 1_000
"""After so many items a `chainHead_v1_storage` operation waits for `chainHead_v1_continue`."""
MAX_BROADCASTS_PER_CONNECTION = 16
MAX_BLOCKS_QUERIED = 256
"""That one `state_queryStorage` looks at."""
MAX_PROOF_KEYS = 256
"""That one `datdot_getProof` proves."""
MAX_TRACE_STEPS = 20_000
"""Storage operations and calls that a trace tells of; what comes after them is left out, and the trace says so."""
MAX_TRACE_VALUE_BYTES = 1_024
"""Of a value in a trace; longer ones are cut."""
MAX_NEW_BLOCKS = 1_000
"""That one `dev_newBlock` makes."""
