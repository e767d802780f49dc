"""`datdot core …`: hypercores on this machine and over TCP."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from node.cli.encryption import KEY_FILE, EncryptionKey, encryption_key_of, make_encryption_key
from node.cli.options import Announced, Listening, Patience, Sought, endpoint, set_up_logs, with_groups
from node.cli.output import Refused, print_result, print_serving, refusing
from node.cli.progress import progress_bar

if TYPE_CHECKING:
    from hypercore.io.core import Core
    from hypercore.io.log import Log
    from node.config import FindingConfig

app = typer.Typer(help="Create, fill, read and share hypercores.", no_args_is_help=True)

STORED_BLOCK_BYTES = 65_536
BATCH_BLOCKS = 64
CoreDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the core.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    directory: CoreDirectory,
    encrypted: Annotated[
        bool, typer.Option("--encrypted", help=f"Encrypt blocks with a new key, kept in DIR/{KEY_FILE}.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a new, empty core."""
    from hypercore.errors import HypercoreError
    from hypercore.io.core import Core

    with refusing(HypercoreError, OSError), Core.create(directory) as core:
        if encrypted:
            make_encryption_key(directory)
        print_result(_facts(core, encrypted), as_json)


@app.command()
def append(
    directory: CoreDirectory,
    file: Annotated[Path, typer.Argument(help="What to append; - for standard input.")],
    block_bytes: Annotated[
        int | None,
        typer.Option(min=1, max=15 * 2**20, help="Bytes per block; else what makes stored blocks of 64 KiB."),
    ] = None,
    encryption_key: EncryptionKey = None,
    as_json: Json = False,
) -> None:
    """Append a file, cut into blocks."""
    from hypercore.encryption import PADDING_BYTES
    from hypercore.errors import HypercoreError

    with refusing(HypercoreError, OSError), _opened(directory, encryption_key) as log, _source(file) as source:
        size = block_bytes or STORED_BLOCK_BYTES - (PADDING_BYTES if log.encrypted else 0)
        before, done = log.length, 0
        try:
            with progress_bar("appending", size_of(source)) as show:
                while batch := [block for _ in range(BATCH_BLOCKS) if (block := source.read(size))]:
                    log.append(batch)
                    done += sum(map(len, batch))
                    show(done, None)
        except KeyboardInterrupt:
            raise Refused(f"stopped: {log.length - before} blocks of {file} were appended before") from None
        print_result(_facts(log.core, log.encrypted), as_json)


@app.command()
def info(directory: CoreDirectory, as_json: Json = False) -> None:
    """Show key, length and state of a core."""
    from hypercore.errors import HypercoreError

    with refusing(HypercoreError, OSError), _opened(directory, None) as log:
        print_result(_facts(log.core, log.encrypted), as_json)


@app.command()
def cat(
    directory: CoreDirectory,
    start: Annotated[int, typer.Option(min=0, help="First block.")] = 0,
    end: Annotated[int | None, typer.Option(min=0, help="Block to stop before.")] = None,
    encryption_key: EncryptionKey = None,
) -> None:
    """Write blocks to standard output."""
    import trio

    from hypercore.errors import HypercoreError

    async def write() -> None:
        stop = log.length if end is None else end
        if max(start, stop) > log.length:
            raise Refused(f"the core has {log.length} blocks: there is no block {max(start, stop - 1)}")
        with progress_bar("reading", max(0, stop - start), unit="blocks", writes_data=True) as show:
            for index in range(start, stop):
                sys.stdout.buffer.write(await log.get(index))
                show(index + 1 - start, None)
        sys.stdout.buffer.flush()

    with refusing(HypercoreError, OSError), _opened(directory, encryption_key) as log:
        trio.run(write)


@app.command()
@with_groups
def clone(
    key: Annotated[str, typer.Argument(help="The core's key: z32 or hexadecimal.")],
    directory: Annotated[Path, typer.Option("--to", help="The directory of the copy.")],
    peers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST:PORT]…", help="Peers that serve it; without any, the local network is asked."),
    ] = None,
    timeout: Patience = 60,
    as_json: Json = False,
    *,
    sought: Sought,
) -> None:
    """Download a whole core from peers that are named, or found on the local network or on Hyperswarm."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped
    from node.config import StartRefused

    with refusing(HypercoreError, OSError, StartRefused):
        from node.cli.cloning import clone as clone_core

        set_up_logs("warning", as_json=False)
        addresses = [endpoint(peer) for peer in peers or ()]
        where = sought.checked(named=bool(addresses))
        if not addresses and not where.lan and not where.hyperswarm:
            raise Refused("without the local network and Hyperswarm, name who serves the core: HOST:PORT")
        core = run_until_stopped(clone_core, key, addresses, directory, timeout, where)
        if core is None:
            raise Refused("stopped: what came is kept, and the same command goes on from there")
        print_result(_facts(core, False), as_json)
        core.close()


@app.command()
@with_groups
def serve(directory: CoreDirectory, listening: Listening, announced: Announced, as_json: Json = False) -> None:
    """Serve a core to readers until stopped."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped
    from node.config import StartRefused

    with refusing(HypercoreError, OSError, StartRefused):
        set_up_logs("warning", as_json=False)
        run_until_stopped(_serve, directory, listening, announced.checked(), as_json)


@app.command()
def check(
    directory: CoreDirectory,
    repair: Annotated[bool, typer.Option("--repair", help="Mend the tree and give damaged blocks up.")] = False,
    as_json: Json = False,
) -> None:
    """Check every block and hash of a core against its signed head."""
    from hypercore.errors import HypercoreError
    from hypercore.io.check import check_core
    from hypercore.io.files import DiskDirectory

    with refusing(HypercoreError, OSError):
        _require_core(directory)
        with progress_bar("checking", unit="blocks") as show:
            report = check_core(DiskDirectory(directory), repair=repair, progress=lambda block, of: show(block + 1, of))
        facts: dict[str, object] = {
            "key": report.key.hex(),
            "length": report.length,
            "fork": report.fork,
            "blocks_checked": report.blocks_checked,
            "nodes_checked": report.nodes_checked,
            "damaged_blocks": [list(run) for run in report.damaged_blocks],
            "damaged_nodes": report.damaged_nodes,
            "recovered": report.recovered,
            "repaired": report.repaired,
            "healthy": report.healthy,
        }
        print_result(facts, as_json)
        if not report.healthy:
            raise Refused("the core is damaged; --repair gives damaged blocks up, so that peers can bring them again")


@contextmanager
def _opened(directory: Path, encryption_key: Path | None) -> Iterator[Log]:
    from hypercore.io.log import Log

    with _open_core(directory) as core:
        yield Log(core, encryption_key=encryption_key_of(directory, encryption_key))


def _open_core(directory: Path) -> Core:
    from hypercore.io.core import Core

    _require_core(directory)
    return Core.open(directory)


def _require_core(directory: Path) -> None:
    """Raises Refused where opening would leave a lock in a directory that is none of ours."""
    if not (directory / "identity").is_file():
        raise Refused(f"there is no core in {directory}: make one with `datdot core create {directory}`")


@contextmanager
def _source(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as source:
        yield source


def size_of(source: BinaryIO) -> int | None:
    """The size of a file; None for what has none, such as a pipe."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def _serve(directory: Path, listening: Listening, where: FindingConfig, as_json: bool) -> None:
    import trio

    from hypercore.io.replication import open_replication
    from node.cli.links import announced
    from node.finding import Finding

    with _open_core(directory) as core:
        facts = _facts(core, (directory / KEY_FILE).exists())
        async with Finding.start(where, listening.host) as finding, open_replication() as replication:
            replication.add(core)
            bound = await replication.listen(listening.host, listening.port)
            async with announced(finding, replication, bound, [core.discovery_key]) as places:
                print_serving(facts, listening.host, bound, places, as_json)
                await trio.sleep_forever()


def _facts(core: Core, encrypted: bool) -> dict[str, object]:
    return {
        "key": core.key.hex(),
        "id": core.public_id,
        "length": core.length,
        "bytes": core.byte_length,
        "fork": core.fork,
        "local_blocks": core.contiguous_length,
        "writable": core.writable,
        "encrypted": encrypted,
    }
