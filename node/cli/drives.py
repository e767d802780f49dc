"""`datdot drive …`: folders of files in a corestore on this machine, shared and read over TCP (Hyperdrive)."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from node.cli.options import endpoint
from node.cli.output import Refused, print_event, print_result, refusing

if TYPE_CHECKING:
    from hypercore.io.drive import Drive, DriveView
    from hypercore.io.drive_iterators import DriveChange

app = typer.Typer(help="Write, read, mirror and share folders of files (Hyperdrive).", no_args_is_help=True)

READ_BYTES = 1 << 20
StoreDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the store.")]
DrivePath = Annotated[str, typer.Argument(metavar="PATH", help="A path in the drive.")]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="A folder in the drive.")]
Key = Annotated[str | None, typer.Option("--key", help="Somebody's drive (z32 or hexadecimal); ours without.")]
Peers = Annotated[list[str] | None, typer.Option("--peer", metavar="HOST:PORT", help="Who serves it; may be repeated.")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="The drive as it was at this version.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def put(
    directory: StoreDirectory,
    path: DrivePath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; - for standard input.")],
    executable: Annotated[bool, typer.Option("--executable", help="Mark it as a program.")] = False,
    as_json: Json = False,
) -> None:
    """Write a file into our drive; makes the drive when there is none."""
    import trio

    async def write(drive: Drive, _: DriveView) -> dict[str, Any]:
        source: BinaryIO = (
            sys.stdin.buffer if str(file) == "-" else await trio.to_thread.run_sync(lambda: file.open("rb"))
        )
        with source:
            await drive.write(path, iter(lambda: source.read(READ_BYTES), b""), executable=executable)
        return await _facts(drive)

    _print(_run(write, directory, create=True), as_json)


@app.command()
def get(
    directory: StoreDirectory,
    path: DrivePath,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; else standard output.")] = None,
    start: Annotated[int, typer.Option(min=0, help="First byte.")] = 0,
    length: Annotated[int | None, typer.Option(min=0, help="Number of bytes; else to the end.")] = None,
    key: Key = None,
    peers: Peers = None,
    version: Version = None,
) -> None:
    """Write a file of a drive to standard output or to a file; links are followed."""
    import trio

    async def read(_: Drive, view: DriveView) -> None:
        parts = view.read(path, start=start, length=length, follow=True)
        first = await anext(parts, b"")
        target: BinaryIO = (
            sys.stdout.buffer if to is None else await trio.to_thread.run_sync(lambda path: path.open("wb"), to)
        )
        try:
            target.write(first)
            async for part in parts:
                await trio.to_thread.run_sync(target.write, part)
            target.flush()
        finally:
            if to is not None:
                target.close()

    _run(read, directory, key, peers, version)


@app.command()
def ls(
    directory: StoreDirectory,
    folder: Folder = "/",
    key: Key = None,
    peers: Peers = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """List the files of a folder and of all below it."""

    async def listing(_: Drive, view: DriveView) -> None:
        async for path, entry in view.list(folder):
            size = await view.size(entry)
            if as_json:
                fields = {"path": path, "bytes": size, "executable": entry.executable, "linkname": entry.linkname}
                typer.echo(json.dumps({**fields, "metadata": entry.metadata}))
            else:
                kind = "l" if entry.linkname is not None else "x" if entry.executable else "-"
                target = f" -> {entry.linkname}" if entry.linkname is not None else ""
                typer.echo(f"{kind} {size:>12} {_printable(path + target)}")

    _run(listing, directory, key, peers, version)


@app.command()
def mirror(
    directory: StoreDirectory,
    source: Annotated[Path | None, typer.Option("--from", metavar="LOCAL", help="A local folder to copy in.")] = None,
    target: Annotated[Path | None, typer.Option("--to", metavar="LOCAL", help="A local folder to copy to.")] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="The folder in the drive.")] = "/",
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the source does not have.")] = False,
    key: Key = None,
    peers: Peers = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Copy a local folder into our drive, or a drive into a local folder; only differences are written."""
    from dataclasses import asdict

    async def copy(drive: Drive, view: DriveView) -> dict[str, Any]:
        from hypercore.io.drive_mirror import mirror_in, mirror_out

        if source is not None:
            report = await mirror_in(drive, source, prefix, prune=prune)
        else:
            assert target is not None
            report = await mirror_out(view, target, prefix, prune=prune)
        return {**asdict(report), **await _facts(drive)}

    with refusing():
        if (source is None) == (target is None):
            raise Refused("give --from LOCAL to copy into the drive, or --to LOCAL to copy out of it")
        if source is not None and (key is not None or version is not None):
            raise Refused("--from writes our own drive as it is now: --key and --version do not go with it")
        if source is not None and not source.is_dir():
            raise Refused(f"--from: {source} is not a folder")
    result = _run(copy, directory, key, peers, version, create=source is not None)
    if result is not None:
        skipped = result.pop("skipped")
        _print({**result, "skipped": skipped if as_json else len(skipped)}, as_json)
        if not as_json:
            for line in skipped:
                typer.echo(f"datdot: left out {_printable(line)}", err=True)


@app.command()
def watch(
    directory: StoreDirectory, folder: Folder = "/", key: Key = None, peers: Peers = None, as_json: Json = False
) -> None:
    """Print the changes of a folder as they come, until stopped."""

    async def follow(drive: Drive, _: DriveView) -> None:
        watching = drive.watch(folder)
        if as_json:
            print_event("watching", **await _facts(drive))
        async for new, old in watching:
            async for change in new.differences(old, folder):
                _print_change(change, as_json)

    _run(follow, directory, key, peers)


@app.command()
def history(
    directory: StoreDirectory,
    key: Key = None,
    peers: Peers = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    as_json: Json = False,
) -> None:
    """Print every change of a drive with the version it made."""

    async def show(drive: Drive, _: DriveView) -> None:
        async for change in drive.history(reverse=reverse):
            _print_change(change, as_json)

    _run(show, directory, key, peers)


@app.command()
def rm(directory: StoreDirectory, path: DrivePath, as_json: Json = False) -> None:
    """Remove a file from our drive; older versions keep it."""

    async def remove(drive: Drive, _: DriveView) -> dict[str, Any]:
        if not await drive.delete(path):
            raise Refused(f"there is no {path} in the drive")
        return await _facts(drive)

    _print(_run(remove, directory), as_json)


@app.command()
def info(directory: StoreDirectory, key: Key = None, peers: Peers = None, as_json: Json = False) -> None:
    """Show key, version and size of a drive."""

    async def show(drive: Drive, _: DriveView) -> dict[str, Any]:
        return await _facts(drive)

    _print(_run(show, directory, key, peers), as_json)


@app.command()
def serve(
    directory: StoreDirectory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 lets the system choose.")] = 0,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Serve our drive, and every other core of the store, to readers that know the key, until stopped."""
    import trio

    async def listen(drive: Drive, _: DriveView) -> None:
        async with drive.store.replicate() as replication:
            bound = await replication.listen(host, port)
            if as_json:
                print_event("serving", **await _facts(drive), host=host, port=bound)
            else:
                print_result({**await _facts(drive), "address": f"{host}:{bound}"}, False)
            await trio.sleep_forever()

    _run(listen, directory, key)


def _run(
    work: Callable[[Drive, DriveView], Awaitable[Any]],
    directory: Path,
    key: str | None = None,
    peers: list[str] | None = None,
    version: int | None = None,
    *,
    create: bool = False,
) -> Any:
    """Runs `work(drive, the drive at the wanted version)`; refuses with a sentence."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped

    async def program() -> Any:
        async with _opened(directory, key, addresses, create) as drive:
            if version is not None and version > drive.version:
                raise Refused(f"the drive is at version {drive.version}: there is no version {version} yet")
            return await work(drive, drive if version is None else drive.checkout(version))

    with refusing(HypercoreError, OSError):
        addresses = [endpoint(peer) for peer in peers or []]
        if key is None and not create and not (directory / "primary-key").exists():
            raise Refused(f"there is no store in {directory}: write a file with `datdot drive put`, or give --key")
        return run_until_stopped(program)


@asynccontextmanager
async def _opened(
    directory: Path, key: str | None, addresses: list[tuple[str, int]], create: bool
) -> AsyncIterator[Drive]:
    from hypercore.io.corestore import Corestore
    from hypercore.io.drive import Drive
    from hypercore.io.replication import ConnectFailed

    async with Corestore(directory) as store, Drive(store, key) as drive:
        if not addresses:
            if drive.version == 0 and not create:
                raise Refused(f"the drive in {directory} is empty" if key is None else "no block is here: give --peer")
            yield drive
            return
        async with store.replicate() as replication:
            failures = []
            for host, port in addresses:
                try:
                    await replication.connect(host, port)
                except ConnectFailed as failure:
                    failures.append(str(failure))
            if len(failures) == len(addresses):
                raise Refused(f"no peer answers: {failures[0]}")
            await drive.update()
            yield drive


async def _facts(drive: Drive) -> dict[str, Any]:
    contents = await drive.contents()
    return {
        "key": drive.key.hex(),
        "id": drive.public_id,
        "version": drive.version,
        "content_key": contents.log.key.hex(),
        "content_bytes": contents.log.byte_length,
        "writable": drive.writable,
    }


def _print(facts: dict[str, Any] | None, as_json: bool) -> None:
    if facts is not None:
        print_result(facts, as_json)


def _print_change(change: DriveChange, as_json: bool) -> None:
    if as_json:
        print_event(change.kind, path=change.path, version=change.version)
    else:
        typer.echo(f"{change.version:>8} {change.kind:<6} {_printable(change.path)}")


def _printable(text: str) -> str:
    """A stranger's text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
