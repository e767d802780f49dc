"""What a sponsor has ready to be hosted: one core, or the two of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypercore.io.core import Core
from node.roles.share_events import DriveId, ShareEvent

IsPublished = Callable[[bytes], bool]
"""Whether the chain knows the core of a key."""


class ShareRefused(Exception):
    """What was asked for cannot be shared; one sentence says why."""


@dataclass(frozen=True)
class SharedCore:
    """A complete copy that is ready to be served, and the SHA-256 of all its blocks one after another."""

    core: Core
    sha256: bytes
    directory: Path


@dataclass(frozen=True)
class Share:
    """Cores to be hosted together. `drive` names the Hyperdrive that they are, `news` is what is worth telling of them.

    `close` closes the cores.
    """

    cores: tuple[SharedCore, ...]
    close: Callable[[], None]
    drive: DriveId | None = None
    news: tuple[ShareEvent, ...] = ()
