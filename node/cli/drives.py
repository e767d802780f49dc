"""`datdot drive …`: folders of files in a corestore on this machine, shared and read over TCP (Hyperdrive)."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from node.cli.cores import size_of
from node.cli.encryption import KEY_FILE, EncryptionKey
from node.cli.on_drive import Key, Read, drive_facts, run_on_drive
from node.cli.options import Announced, Listening, Sought, with_groups
from node.cli.output import Refused, print_result, print_serving, refusing
from node.cli.progress import progress_bar
from node.output import print_event, printable

if TYPE_CHECKING:
    from hypercore.io.drive import Drive, DriveView
    from hypercore.io.drive_iterators import DriveChange

app = typer.Typer(help="Write, read, mirror and share folders of files (Hyperdrive).", no_args_is_help=True)

READ_BYTES = 1 << 20
StoreDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the store.")]
DrivePath = Annotated[str, typer.Argument(metavar="PATH", help="A path in the drive.")]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="A folder in the drive.")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="The drive as it was at this version.")]
Encrypted = Annotated[
    bool, typer.Option("--encrypted", help=f"Encrypt a new drive with a new key, kept in DIR/{KEY_FILE}.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def put(
    directory: StoreDirectory,
    path: DrivePath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; - for standard input.")],
    executable: Annotated[bool, typer.Option("--executable", help="Mark it as a program.")] = False,
    encrypted: Encrypted = False,
    encryption_key: EncryptionKey = None,
    as_json: Json = False,
) -> None:
    """Write a file into our drive; makes the drive when there is none."""
    import trio

    async def write(drive: Drive, _: DriveView) -> dict[str, Any]:
        # What is typed may never come, and a stop must not wait for it. The stubs in use know an older trio.
        take = partial(trio.to_thread.run_sync, abandon_on_cancel=True)  # type: ignore[call-arg]
        source = await take(_unbuffered, file)
        done = 0

        async def read() -> AsyncGenerator[bytes, None]:
            nonlocal done
            while part := await take(source.read, READ_BYTES):
                yield part
                done += len(part)
                show(done, None)

        with source, progress_bar("writing", size_of(source)) as show:
            async with aclosing(read()) as parts:
                await drive.write(path, parts, executable=executable)
        return await drive_facts(drive)

    read = Read(encryption_key=encryption_key)
    _print(run_on_drive(write, directory, read, create=True, encrypted=encrypted), as_json)


def _unbuffered(file: Path) -> BinaryIO:
    """A file, or standard input, without a buffer: its lock would make closing it wait for a read that was given up."""
    if str(file) != "-":
        return cast(BinaryIO, file.open("rb", buffering=0))
    return cast(BinaryIO, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))


@app.command()
@with_groups
def get(
    directory: StoreDirectory,
    path: DrivePath,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; else standard output.")] = None,
    start: Annotated[int, typer.Option(min=0, help="First byte.")] = 0,
    length: Annotated[int | None, typer.Option(min=0, help="Number of bytes; else to the end.")] = None,
    version: Version = None,
    *,
    read: Read,
    sought: Sought,
) -> None:
    """Write a file of a drive to standard output or to a file; links are followed."""
    import trio

    async def write(_: Drive, view: DriveView) -> None:
        parts = view.read(path, start=start, length=length, follow=True)
        first = await anext(parts, b"")
        entry = await view.entry(path, follow=True)
        rest = max(0, (await view.size(entry) if entry is not None else 0) - start)
        total = rest if length is None else min(length, rest)
        done = len(first)
        with progress_bar("reading", total, writes_data=to is None) as show, _written_whole(to) as target:
            target.write(first)
            async for part in parts:
                await trio.to_thread.run_sync(target.write, part)
                done += len(part)
                show(done, None)
            target.flush()

    run_on_drive(write, directory, read, sought, version=version)


@contextmanager
def _written_whole(to: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there once the block of code succeeded, and not half."""
    if to is None:
        yield sys.stdout.buffer
        return
    if to.exists() and not to.is_file():  # a device or a pipe
        with to.open("wb") as target:
            yield target
        return
    partial = to.with_name(f"{to.name}.part")
    try:
        with partial.open("wb") as target:
            yield target
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)


@app.command()
@with_groups
def ls(
    directory: StoreDirectory,
    folder: Folder = "/",
    version: Version = None,
    as_json: Json = False,
    *,
    read: Read,
    sought: Sought,
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
                typer.echo(f"{kind} {size:>12} {printable(path + target)}")

    run_on_drive(listing, directory, read, sought, version=version)


@app.command()
@with_groups
def mirror(
    directory: StoreDirectory,
    source: Annotated[Path | None, typer.Option("--from", metavar="LOCAL", help="A local folder to copy in.")] = None,
    target: Annotated[Path | None, typer.Option("--to", metavar="LOCAL", help="A local folder to copy to.")] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="The folder in the drive.")] = "/",
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the source does not have.")] = False,
    version: Version = None,
    encrypted: Encrypted = False,
    as_json: Json = False,
    *,
    read: Read,
    sought: Sought,
) -> None:
    """Copy a local folder into our drive, or a drive into a local folder; only differences are written."""
    from dataclasses import asdict

    async def copy(drive: Drive, view: DriveView) -> dict[str, Any]:
        from hypercore.io.drive_mirror import mirror_in, mirror_out

        if source is not None:
            with progress_bar("mirroring") as progress:
                report = await mirror_in(drive, source, prefix, prune=prune, progress=progress)
        else:
            assert target is not None
            with progress_bar("mirroring") as progress:
                report = await mirror_out(view, target, prefix, prune=prune, progress=progress)
        return {**asdict(report), **await drive_facts(drive)}

    with refusing():
        if (source is None) == (target is None):
            raise Refused("give --from LOCAL to copy into the drive, or --to LOCAL to copy out of it")
        if source is not None and (read.key is not None or version is not None):
            raise Refused("--from writes our own drive as it is now: --key and --version do not go with it")
        if source is not None and not source.is_dir():
            raise Refused(f"--from: {source} is not a folder")
    is_in = source is not None
    result = run_on_drive(
        copy, directory, read, sought, version=version, create=is_in, encrypted=encrypted and is_in
    )
    skipped = result.pop("skipped")
    _print({**result, "skipped": skipped if as_json else len(skipped)}, as_json)
    if not as_json:
        for line in skipped:
            typer.echo(f"datdot: left out {printable(line)}", err=True)


@app.command()
@with_groups
def watch(
    directory: StoreDirectory,
    folder: Folder = "/",
    as_json: Json = False,
    *,
    read: Read,
    sought: Sought,
) -> None:
    """Print the changes of a folder as they come, until stopped."""

    async def follow(drive: Drive, _: DriveView) -> None:
        watching = drive.watch(folder)
        if as_json:
            print_event("watching", **await drive_facts(drive))
        async for new, old in watching:
            async for change in new.differences(old, folder):
                _print_change(change, as_json)

    run_on_drive(follow, directory, read, sought, endless=True)


@app.command()
@with_groups
def history(
    directory: StoreDirectory,
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    as_json: Json = False,
    *,
    read: Read,
    sought: Sought,
) -> None:
    """Print every change of a drive with the version it made."""

    async def show(drive: Drive, _: DriveView) -> None:
        async for change in drive.history(reverse=reverse):
            _print_change(change, as_json)

    run_on_drive(show, directory, read, sought)


@app.command()
def rm(directory: StoreDirectory, path: DrivePath, as_json: Json = False) -> None:
    """Remove a file from our drive; older versions keep it."""

    async def remove(drive: Drive, _: DriveView) -> dict[str, Any]:
        if not await drive.delete(path):
            raise Refused(f"there is no {path} in the drive")
        return await drive_facts(drive)

    _print(run_on_drive(remove, directory, Read()), as_json)


@app.command()
@with_groups
def info(
    directory: StoreDirectory,
    as_json: Json = False,
    *,
    read: Read,
    sought: Sought,
) -> None:
    """Show key, version and size of a drive."""

    async def show(drive: Drive, _: DriveView) -> dict[str, Any]:
        return await drive_facts(drive)

    _print(run_on_drive(show, directory, read, sought), as_json)


@app.command()
@with_groups
def serve(
    directory: StoreDirectory,
    listening: Listening,
    announced: Announced,
    key: Key = None,
    encryption_key: EncryptionKey = None,
    as_json: Json = False,
) -> None:
    """Serve our drive, and every other core of the store, to readers that know the key, until stopped."""
    import trio

    async def listen(drive: Drive, _: DriveView) -> None:
        from node.cli import links
        from node.finding import Finding

        facts = await drive_facts(drive)
        keys = dict.fromkeys([drive.discovery_key, *(core.discovery_key for core in drive.store.cores())])
        async with Finding.start(where, listening.host) as ways, drive.store.replicate() as replication:
            bound = await replication.listen(listening.host, listening.port)
            async with links.announced(ways, replication, bound, list(keys)) as places:
                print_serving(facts, listening.host, bound, places, as_json)
                await trio.sleep_forever()

    with refusing():
        where = announced.checked()
    run_on_drive(listen, directory, Read(key, encryption_key=encryption_key), endless=True)


def _print(facts: dict[str, Any] | None, as_json: bool) -> None:
    if facts is not None:
        print_result(facts, as_json)


def _print_change(change: DriveChange, as_json: bool) -> None:
    if as_json:
        print_event(change.kind, path=change.path, version=change.version)
    else:
        typer.echo(f"{change.version:>8} {change.kind:<6} {printable(change.path)}")
