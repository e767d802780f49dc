"""Named bounds of everything that a peer could make grow: queues, messages, streams, peers, caches.

Every bound that guards the network against its peers stands here, so that the whole exposure of a node can be read
on one page. Sizes are in bytes and times in seconds unless the name says otherwise.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Connections and streams
MAX_CONNECTIONS: Final = 128
MAX_STREAMS_PER_CONNECTION: Final = 64
MAX_STREAM_BUFFER_BYTES: Final = 4 * MIB  # unread bytes of one stream; a peer that ignores flow control is cut off here
STREAM_WINDOW_BYTES: Final = 1 * MIB  # receive window of a stream that proved busy
STREAM_STALL_SECONDS: Final = 30.0  # a writer waits this long for credit before the stream counts as dead
DIAL_TIMEOUT_SECONDS: Final = 10.0
OPEN_STREAM_TIMEOUT_SECONDS: Final = 10.0
CLOSE_TIMEOUT_SECONDS: Final = 2.0

# Frames and messages
MAX_FRAME_BYTES: Final = 1 * MIB
READ_SLICE_BYTES: Final = 64 * KIB
MAX_CBOR_DEPTH: Final = 4
MAX_HEADER_BYTES: Final = 64 * KIB
MAX_EXTRINSIC_BYTES: Final = 512 * KIB
MAX_MULTIADDRESS_BYTES: Final = 256
MAX_ADDRESSES_PER_RECORD: Final = 8
MAX_HOST_NAME_BYTES: Final = 255
MAX_ADDRESS_RECORD_BYTES: Final = 4 * KIB

# Sessions
MAX_PEERS: Final = 48
RESERVED_PEER_SLOTS: Final = 8  # kept free for reserved peers and bootnodes
MAX_RESERVED_PEERS: Final = 64
TARGET_PEERS: Final = 8  # below this the node dials chain nodes that it knows from address records
HANDSHAKE_TIMEOUT_SECONDS: Final = 10.0
MAX_HANDSHAKE_BYTES: Final = 4 * KIB
PING_INTERVAL_SECONDS: Final = 10.0
MAX_MISSED_PINGS: Final = 2
MAX_CONTROL_FRAMES_PER_SECOND: Final = 10
REDIAL_FIRST_DELAY_SECONDS: Final = 0.5
REDIAL_MAX_DELAY_SECONDS: Final = 60.0
MAX_DIAL_TARGETS: Final = 256
BAN_THRESHOLD: Final = 100  # offence points
BAN_SECONDS: Final = 600.0
OFFENCE_DECAY_PER_SECOND: Final = 0.2  # offence points forgiven
MAX_REMEMBERED_OFFENDERS: Final = 4096
OTHER_GENESIS_RETRY_SECONDS: Final = 60.0

# Gossip
MAX_SEEN_MESSAGES: Final = 65_536
MAX_BATCH_ITEMS: Final = 512
MAX_BATCH_BYTES: Final = 256 * KIB
MAX_QUEUED_TRANSACTIONS: Final = 8_192
MAX_QUEUED_BLOCK_ANNOUNCES: Final = 64
MAX_QUEUED_ADDRESSES: Final = 1_024
MAX_QUEUED_BYTES: Final = 16 * MIB
TRANSACTIONS_PER_SECOND: Final = 5_000
TRANSACTION_BURST: Final = 20_000
BLOCK_ANNOUNCES_PER_SECOND: Final = 20
BLOCK_ANNOUNCE_BURST: Final = 200
ADDRESSES_PER_SECOND: Final = 50
ADDRESS_BURST: Final = 2_048
MAX_MESH_QUEUE: Final = 1_024
MAX_ADDRESS_BOOK_RECORDS: Final = 4_096
MAX_ADDRESSES_SENT_ON_CONNECT: Final = 1_024
MAX_ADDRESS_RECORDS_FROM_PEER: Final = MAX_ADDRESSES_SENT_ON_CONNECT  # of keys that belong to no user of the chain
MAX_ADDRESS_RECORDS_LOOKED_AT: Final = 16  # for one that may go
ADDRESS_REPUBLISH_SECONDS: Final = 600.0  # a record that was pushed out of a book is back after so long
MAX_EXTRINSICS_SENT_ON_CONNECT: Final = 1_024

# Sync
MAX_BLOCKS_PER_REQUEST: Final = 128
MAX_RESPONSE_BYTES: Final = 4 * MIB
MAX_BLOCK_BYTES: Final = 8 * MIB  # one block is always answered, even when it is larger than a response should be
MAX_SYNC_FRAME_BYTES: Final = MAX_BLOCK_BYTES + 64 * KIB
MAX_REQUEST_FRAME_BYTES: Final = 1 * KIB
MAX_BLOCKS_AHEAD: Final = 2_048
MAX_REQUESTS_PER_PEER: Final = 4
MAX_BLOCKS_PER_IMPORT: Final = 64
BLOCK_REQUEST_TIMEOUT_SECONDS: Final = 20.0
HASH_REQUEST_TIMEOUT_SECONDS: Final = 10.0
SYNC_TICK_SECONDS: Final = 1.0
MAX_SYNC_RESTARTS: Final = 8  # fresh ancestor searches with one peer without a block imported in between
MAX_BAD_BLOCKS_REMEMBERED: Final = 1_024
MAJOR_SYNC_BLOCKS: Final = 5

# Finding hosts of a core
MAX_KADEMLIA_MESSAGE_BYTES: Final = 64 * KIB
MAX_PROVIDED_KEYS: Final = 65_536  # of others, remembered here
MAX_PROVIDERS_PER_KEY: Final = 20  # Kademlia's k; the library keeps as many
MAX_HOSTED_CORES: Final = 4_096  # of our accounts, announced
MAX_HOSTS_PER_ANSWER: Final = 64
KADEMLIA_CLOSEST_PEERS: Final = 20
KADEMLIA_REQUEST_SECONDS: Final = 10.0
KADEMLIA_STREAM_SECONDS: Final = 30.0
KADEMLIA_PEER_SECONDS: Final = 3_600  # an address stays in the table's address list
PROVIDER_RECORD_SECONDS: Final = 3 * 3_600
PROVIDE_AGAIN_SECONDS: Final = 3_600.0
PROVIDE_RETRY_SECONDS: Final = 15.0  # while there is nobody to tell
PROVIDE_INTERVAL_SECONDS: Final = 1.25  # a node takes ten announcements in ten seconds from one peer
HOSTS_REQUEST_SECONDS: Final = 15.0
