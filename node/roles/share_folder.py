"""A folder to be hosted: a Hyperdrive, whose two cores the chain and the hosters treat as any others.

The drive belongs to the account and the folder's place, so that sharing the folder again gives the same drive. Until
one of its cores is published it follows the folder; afterwards it stays as it is, because the chain knows its heads.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import trio

from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from hypercore.io.drive_mirror import MirrorReport, mirror_in
from node.keys.keypair import Keypair
from node.roles.share_events import DriveId, FolderChanged, FolderRead, ShareEvent
from node.roles.shared_core import IsPublished, Share, SharedCore, ShareRefused


async def open_folder(folder: Path, directory: Path, account: Keypair, is_published: IsPublished) -> Share:
    """The drive of a folder, kept below `directory`. Raises ShareRefused, HypercoreError and OSError."""
    place, own = await trio.to_thread.run_sync(lambda: (folder.resolve(), directory.resolve()))
    if own.is_relative_to(place):
        raise ShareRefused(f"{folder} holds this market's own data: keep --data outside of the folder that is shared")
    name = hashlib.sha256(os.fsencode(place)).hexdigest()
    home = directory / f"folder-{name}"
    store = Corestore(home / "store", account.derived_seed(f"share/folder/{name}"))
    try:
        drive = Drive(store)
        cores = ((await drive.blobs()).log.core, drive.bee.log.core)
        news = await _news_of(drive, folder, any(is_published(core.key) for core in cores))
        shared = [await _shared(core, home) for core in cores]
    except BaseException:
        store.close()
        raise
    return Share(tuple(shared), store.close, _id_of(drive), news)


async def _news_of(drive: Drive, folder: Path, is_published: bool) -> tuple[ShareEvent, ...]:
    report = await mirror_in(drive, folder, prune=True, dry_run=is_published)
    told = (str(folder), _id_of(drive), drive.version)
    if not is_published:
        if report.files == 0:
            raise ShareRefused(f"{folder} {_emptiness(report)}: there is nothing to host")
        return (FolderRead(*told, report.files, await _bytes_of(drive), tuple(report.skipped)),)
    differs = report.added or report.changed or report.removed
    return (FolderChanged(*told, report.added, report.changed, report.removed),) if differs else ()


def _emptiness(report: MirrorReport) -> str:
    return f"has no file that a drive can hold ({report.skipped[0]})" if report.skipped else "holds no files"


async def _bytes_of(drive: Drive) -> int:
    return sum([entry.blob.byte_length async for _, entry in drive.list() if entry.blob is not None])


async def _shared(core: Core, home: Path) -> SharedCore:
    directory = home / core.key.hex()
    directory.mkdir(exist_ok=True)
    return SharedCore(core, await trio.to_thread.run_sync(digest_of_core, core), directory)


def _id_of(drive: Drive) -> DriveId:
    return DriveId(drive.key.hex(), drive.public_id)


def digest_of_core(core: Core) -> bytes:
    """SHA-256 of all blocks one after another."""
    digest = hashlib.sha256()
    for index in range(core.length):
        digest.update(core.get(index))
    return digest.digest()
