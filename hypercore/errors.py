"""Every error of this package.

Whose fault an error is decides its class: `RemoteProtocolError` is a peer that broke the rules, `LocalProtocolError` is
our own wrong call. Both are permanent. `BlockNotAvailable` and `StaleProof` are temporary: asking again may succeed.
"""


class HypercoreError(Exception):
    """Base of every error that this package raises on purpose."""


class RemoteProtocolError(HypercoreError):
    """A peer sent something that no honest peer sends."""


class LocalProtocolError(HypercoreError):
    """The caller asked for something that the protocol does not allow in this state."""


class DecodeError(RemoteProtocolError):
    """Bytes are not a canonical, bounded encoding of the expected type."""


class InvalidProof(RemoteProtocolError):
    """A proof does not show what it claims. `code` names the check that failed, as JavaScript peers name it."""

    code = "INVALID_PROOF"


class InvalidChecksum(InvalidProof):
    """The hash computed from a proof differs from the one that is already trusted."""

    code = "INVALID_CHECKSUM"


class InvalidSignature(InvalidProof):
    """The manifest does not belong to the key, or the signature does not cover the head."""

    code = "INVALID_SIGNATURE"


class InvalidOperation(InvalidProof):
    """A proof or request has the wrong shape: a node is missing, surplus or in the wrong place."""

    code = "INVALID_OPERATION"


class InvalidRequest(RemoteProtocolError):
    """A request that no state of this core could answer (NoData, reason 2)."""

    code = "INVALID_OPERATION"


class StaleProof(HypercoreError):
    """A proof was right for an older or newer state of this core than the present one; ask again."""


class BlockNotAvailable(HypercoreError):
    """A block, or a tree node that a proof needs, is not stored here (NoData, reason 1)."""


class ReadOnly(LocalProtocolError):
    """This copy has no signing key, so it cannot be changed locally."""


class CoreFrozen(HypercoreError):
    """Two different logs were signed for one length: the core may be read, not changed or replicated any more."""


class HeadUnconfirmed(HypercoreError):
    """The writer asked for a check that no peer has a longer log, and the check was not made or failed."""


class SnapshotNotAvailable(BlockNotAvailable):
    """The log went back below the snapshot's length, and the block was not here at that moment."""


class CoreClosed(LocalProtocolError):
    """The core was closed."""


class StoreError(HypercoreError):
    """Base of the errors of local storage."""


class StoreCorrupt(StoreError):
    """Stored data contradict their checksums or hashes."""


class StoreFull(StoreError):
    """The disk is full. What was to be stored is not, everything stored before is unharmed."""


class StoreFailed(StoreError):
    """The disk failed so that nobody knows what it holds; the store takes no more changes until it is opened again."""


class StoreLocked(StoreError):
    """Another process, or another handle of this one, has the directory open."""


class StoreMissing(StoreError):
    """There is no core in this directory, or it is a core of another key."""


class StoreExists(StoreError):
    """There is already a core in this directory."""
