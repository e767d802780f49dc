"""What every `datdot drive` command does around its work: open the store and the drive, link peers, refuse clearly."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.encryption import encryption_key_of, make_encryption_key
from node.cli.options import endpoint, set_up_logs
from node.cli.output import Refused, refusing

if TYPE_CHECKING:
    from hypercore.io.drive import Drive, DriveView
    from hypercore.io.replication import Replication

LAN_SECONDS = 3.0
"""How long peers on the local network are waited for: answers come at once, or not at all."""


def run_on_drive(
    work: Callable[[Drive, DriveView], Awaitable[Any]],
    directory: Path,
    key: str | None = None,
    peers: list[str] | None = None,
    lan: bool = True,
    version: int | None = None,
    *,
    create: bool = False,
    encryption_key: Path | None = None,
    encrypted: bool = False,
    endless: bool = False,
) -> Any:
    """Runs `work(drive, the drive at the wanted version)`; refuses with a sentence, also when `work` was stopped.

    Somebody else's drive is asked for on the local network with `lan`, unless `peers` are named. What is `endless` is
    meant to be stopped.
    """
    from hypercore.errors import DecodeError, HypercoreError
    from node.cli.running import run_until_stopped

    async def program() -> tuple[Any]:
        async with _opened(directory, key, addresses, lan, create, secret) as drive:
            if version is not None and version > drive.version:
                raise Refused(f"the drive is at version {drive.version}: there is no version {version} yet")
            try:
                return (await work(drive, drive if version is None else drive.checkout(version)),)
            except DecodeError as error:
                raise Refused(f"this drive cannot be read ({error}); {_why_unreadable(version, secret)}") from None

    with refusing(HypercoreError, OSError):
        set_up_logs("warning", as_json=False)
        addresses = [endpoint(peer) for peer in peers or []]
        is_new = not (directory / "primary-key").exists()
        if key is None and not create and is_new:
            raise Refused(f"there is no store in {directory}: write a file with `datdot drive put`, or give --key")
        if encrypted and is_new:
            directory.mkdir(parents=True, exist_ok=True)
            make_encryption_key(directory)
        secret = encryption_key_of(directory, encryption_key)
        if encrypted and secret is None:
            raise Refused(f"the drive in {directory} is there already, and not encrypted")
        done = run_until_stopped(program)
        if done is None and not endless:
            raise Refused("stopped: what was written before is kept")
    return None if done is None else done[0]


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
async def _opened(
    directory: Path, key: str | None, peers: Sequence[tuple[str, int]], lan: bool, create: bool, secret: bytes | None
) -> AsyncIterator[Drive]:
    """The drive, linked to peers. A directory that a command made and put nothing into is removed when it fails."""
    import trio

    from hypercore.io.corestore import Corestore
    from hypercore.io.drive import Drive

    is_leftover = is_new = not await trio.Path(directory).exists()
    try:
        async with Corestore(directory) as store, Drive(store, key, encryption_key=secret) as drive:
            try:
                async with _linked(drive, key is None, peers, lan):
                    if drive.version == 0 and not create:
                        raise Refused(
                            f"the drive in {directory} is empty" if key is None else "no block is here: give --peer"
                        )
                    yield drive
            finally:
                is_leftover = is_new and drive.version == 0
    except BaseException:
        if is_leftover:
            shutil.rmtree(directory, ignore_errors=True)
        raise


@asynccontextmanager
async def _linked(drive: Drive, is_own: bool, peers: Sequence[tuple[str, int]], lan: bool) -> AsyncIterator[None]:
    from node.cli.links import linked

    if peers:
        async with drive.store.replicate() as replication, linked(replication, peers):
            await drive.update()
            yield
    elif lan and not is_own and not drive.writable:
        async with drive.store.replicate() as replication, _with_local_peers(replication, drive):
            yield
    else:
        yield


@asynccontextmanager
async def _with_local_peers(replication: Replication, drive: Drive) -> AsyncIterator[None]:
    """Linked to who serves the drive on the local network; without anybody, what is here must do."""
    from hypercore.errors import HeadUnconfirmed
    from node.cli.links import found_on_lan

    core = drive.bee.log.core
    async with found_on_lan(replication, core) as swarm:
        try:
            await replication.confirm_head(core, timeout_seconds=LAN_SECONDS)
            swarm.find((await drive.contents()).log.core)  # who hosts the one core need not host the other
        except HeadUnconfirmed:
            if drive.version == 0:
                raise Refused("nobody on the local network serves this drive: give --peer HOST:PORT") from None
        yield


def _why_unreadable(version: int | None, secret: bytes | None) -> str:
    if version is not None:
        return "perhaps it lies inside of a change of several files: see `datdot drive history` for later versions"
    return f"perhaps it {'has another encryption key' if secret else 'is encrypted: see --encryption-key'}"
