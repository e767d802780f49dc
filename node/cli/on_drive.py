"""What every `datdot drive` command does around its work: open the store and the drive, link peers, refuse clearly."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.encryption import EncryptionKey, encryption_key_of, make_encryption_key
from node.cli.options import Patience, Sought, endpoint, set_up_logs
from node.cli.output import Refused, refusing
from node.config import NOWHERE, FindingConfig

if TYPE_CHECKING:
    from hypercore.io.drive import Drive, DriveView
    from hypercore.io.replication import Replication

LAN_SECONDS = 3.0
"""How long peers on the local network are waited for: answers come at once, or not at all."""


Key = Annotated[str | None, typer.Option("--key", help="Somebody's drive (z32 or hexadecimal); ours without.")]
NOT_SOUGHT = Sought(lan=False)


@dataclass(frozen=True)
class Read:
    """Whose drive a command reads, from which peers, and how."""

    key: Key = None
    peers: Annotated[
        list[str] | None,
        typer.Option("--peer", metavar="HOST:PORT", help="Who serves it; repeatable; else the local network is asked."),
    ] = None
    timeout: Patience = 60
    encryption_key: EncryptionKey = None


def run_on_drive(
    work: Callable[[Drive, DriveView], Awaitable[Any]],
    directory: Path,
    read: Read,
    sought: Sought = NOT_SOUGHT,
    *,
    version: int | None = None,
    create: bool = False,
    encrypted: bool = False,
    endless: bool = False,
) -> Any:
    """Runs `work(drive, the drive at the wanted version)`; refuses with a sentence, also when `work` was stopped.

    Somebody else's drive is looked for where it is `sought`. What is `endless` is meant to be stopped.
    """
    from hypercore.errors import DecodeError, HypercoreError
    from node.cli.running import run_until_stopped
    from node.config import StartRefused

    reached = 0

    async def program() -> tuple[Any]:
        nonlocal reached
        async with opened(directory, read, where, create=create, encrypted=encrypted) as drive:
            if version is not None and version > drive.version:
                raise Refused(f"the drive is at version {drive.version}: there is no version {version} yet")
            try:
                return (await work(drive, drive if version is None else drive.checkout(version)),)
            except DecodeError as error:
                why = _why_unreadable(version, drive.bee.log.encrypted)
                raise Refused(f"this drive cannot be read ({error}); {why}") from None
            finally:
                reached = drive.version

    with refusing(HypercoreError, OSError, StartRefused):
        set_up_logs("warning", as_json=False)
        where = sought.checked(named=bool(read.peers))
        if read.key is None and not create and not _is_store(directory):
            raise Refused(f"there is no store in {directory}: write a file with `datdot drive put`, or give --key")
        done = run_until_stopped(program)
        if done is None and not endless:
            raise Refused(f"stopped: {'what was written before is kept' if reached else 'nothing was written'}")
    return None if done is None else done[0]


def _is_store(directory: Path) -> bool:
    return (directory / "primary-key").exists()


def _secret(directory: Path, file: Path | None, encrypted: bool) -> bytes | None:
    """The key of the drive's blocks, made for a new store that is to be `encrypted`; raises Refused."""
    if encrypted and not _is_store(directory):
        directory.mkdir(parents=True, exist_ok=True)
        make_encryption_key(directory)
    secret = encryption_key_of(directory, file)
    if encrypted and secret is None:
        raise Refused(f"the drive in {directory} is there already, and not encrypted")
    return secret


async def drive_facts(drive: Drive) -> dict[str, Any]:
    """What commands tell of a drive."""
    contents = await drive.contents()
    return {
        "key": drive.key.hex(),
        "id": drive.public_id,
        "version": drive.version,
        "content_key": contents.log.key.hex(),
        "content_bytes": contents.log.byte_length,
        "writable": drive.writable,
        "encrypted": drive.bee.log.encrypted,
    }


@asynccontextmanager
async def opened(
    directory: Path, read: Read, where: FindingConfig, *, create: bool = False, encrypted: bool = False
) -> AsyncIterator[Drive]:
    """The drive, linked to peers. A directory that a command made and put nothing into is removed when it fails."""
    import trio

    from hypercore.io.corestore import Corestore
    from hypercore.io.drive import Drive

    addresses = [endpoint(peer) for peer in read.peers or ()]
    is_leftover = is_new = not await trio.Path(directory).exists()
    try:
        options: dict[str, Any] = {
            "encryption_key": _secret(directory, read.encryption_key, encrypted),
            "timeout_seconds": read.timeout,
        }
        async with Corestore(directory) as store, Drive(store, read.key, **options) as drive:
            try:
                async with _linked(drive, read, addresses, where):
                    if drive.version == 0 and not create:
                        empty = f"the drive in {directory} is empty"
                        raise Refused(empty if read.key is None else "no block is here: give --peer")
                    yield drive
            finally:
                is_leftover = is_new and drive.version == 0
    except BaseException:
        if is_leftover:
            shutil.rmtree(directory, ignore_errors=True)
        raise


@asynccontextmanager
async def _linked(
    drive: Drive, read: Read, addresses: Sequence[tuple[str, int]], where: FindingConfig
) -> AsyncIterator[None]:
    from node.cli.links import meeting

    if not addresses and (where == NOWHERE or read.key is None or drive.writable):
        yield
        return
    core = drive.bee.log.core
    async with (
        drive.store.replicate() as replication,
        meeting(replication, core, addresses, where, is_needed=drive.version == 0) as find,
    ):
        if addresses:
            await drive.update()
        else:
            await _first_answer(replication, drive, read.timeout if where.hyperswarm else LAN_SECONDS)
        if where != NOWHERE and drive.version:
            find((await drive.contents()).log.core)  # who hosts the one core need not host the other
        yield


async def _first_answer(replication: Replication, drive: Drive, seconds: float) -> None:
    """Waits for a peer that tells its version; without anybody, what is here must do."""
    from hypercore.errors import HeadUnconfirmed

    try:
        await replication.confirm_head(drive.bee.log.core, timeout_seconds=seconds)
    except HeadUnconfirmed:
        if drive.version == 0:
            raise Refused(f"nobody was found in {seconds:g} s who serves this drive: give --peer HOST:PORT") from None


def _why_unreadable(version: int | None, has_key: bool) -> str:
    if version is not None:
        return "perhaps it lies inside of a change of several files: see `datdot drive history` for later versions"
    return f"perhaps it {'has another encryption key' if has_key else 'is encrypted: see --encryption-key'}"
