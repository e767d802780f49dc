"""What a sponsor tells while a share becomes available, in the order in which it usually happens.

Each is one line of `--json` output: `name` is the value of its key "event", `values()` are the other keys.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class ShareEvent:
    """Base of all of them."""

    name: ClassVar[str]

    def values(self) -> dict[str, Any]:
        """The values as plain data; `drive` only where there is one."""
        values = dataclasses.asdict(self)
        if values.get("drive", values) is None:
            del values["drive"]
        return values


@dataclass(frozen=True)
class DriveId:
    """The Hyperdrive that a core belongs to: the key that its readers open, in hex and in z-base-32."""

    key: str
    z32: str


@dataclass(frozen=True)
class FolderRead(ShareEvent):
    """A folder was put into a drive: `files` files and links, of so many bytes; `left_out` names what and why."""

    name = "folder_read"
    folder: str
    drive: DriveId
    version: int
    files: int
    bytes: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class FolderChanged(ShareEvent):
    """A folder differs from its drive, which the chain knows already: what is hosted is the drive as it was."""

    name = "folder_changed"
    folder: str
    drive: DriveId
    version: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True)
class NothingToHost(ShareEvent):
    """A core of a drive has no blocks: its files are empty or links, and readers need nothing of it."""

    name = "nothing_to_host"
    key: str
    z32: str
    drive: DriveId | None


@dataclass(frozen=True)
class FeedPublished(ShareEvent):
    """The feed (item id) and its head of `length` blocks are on the chain; `key` is hex."""

    name = "feed_published"
    feed: int
    key: str
    length: int
    drive: DriveId | None = None


@dataclass(frozen=True)
class PlanPublished(ShareEvent):
    """A plan is on the chain with so many contracts and so much escrow (planck)."""

    name = "plan_published"
    plan: int
    contracts: int
    escrow: int
    drive: DriveId | None = None


@dataclass(frozen=True)
class Sealing(ShareEvent):
    """Chunks sealed, of all copies together."""

    name = "sealing"
    done: int
    total: int


@dataclass(frozen=True)
class WaitingForProviders(ShareEvent):
    """So many contracts found no free providers for now; the chain tries again whenever the market changes."""

    name = "waiting_for_providers"
    contracts: int


@dataclass(frozen=True)
class HostingStarted(ShareEvent):
    """A hoster (user id) stores a contract since this amendment."""

    name = "hosting_started"
    contract: int
    hoster: int
    amendment: int


@dataclass(frozen=True)
class StorageProofConfirmed(ShareEvent):
    """A hoster of ours (user id) answered a storage challenge whole."""

    name = "storage_proof_confirmed"
    challenge: int
    hoster: int


@dataclass(frozen=True)
class Paid(ShareEvent):
    """A user got this amount (planck) from our escrow for work in a role: encoder, hoster or attestor."""

    name = "paid"
    user: int
    amount: int
    role: str


@dataclass(frozen=True)
class Peer:
    """Where a hoster serves readers."""

    host: str
    port: int


@dataclass(frozen=True)
class Available(ShareEvent):
    """Everything is hosted, every hoster has proven it, and all of it was read back from the hosters alone."""

    name = "available"
    key: str
    z32: str
    length: int
    bytes: int
    sha256: str
    peers: tuple[Peer, ...]
    drive: DriveId | None = None


@dataclass(frozen=True)
class DriveAvailable(ShareEvent):
    """All of a drive is available: connected to these peers a reader who knows its key gets every file."""

    name = "drive_available"
    key: str
    z32: str
    version: int
    peers: tuple[Peer, ...]
