"""`datdot core …`: hypercores on this machine and over TCP."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import set_up_logs
from node.cli.output import Refused, print_event, print_result, refusing

app = typer.Typer(help="Create, fill, read and share hypercores.", no_args_is_help=True)

DEFAULT_BLOCK_BYTES = 65_536
DIAL_SECONDS = 15
CoreDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the core.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(directory: CoreDirectory, as_json: Json = False) -> None:
    """Make a new, empty core."""
    from hypercore.errors import HypercoreError
    from hypercore.io.core import Core

    with refusing(HypercoreError, OSError):
        core = Core.create(directory)
        print_result(_facts(core), as_json)
        core.close()


@app.command()
def append(
    directory: CoreDirectory,
    file: Annotated[Path, typer.Argument(help="What to append; - for standard input.")],
    block_bytes: Annotated[int, typer.Option(min=1, max=15 * 2**20, help="Bytes per block.")] = DEFAULT_BLOCK_BYTES,
    as_json: Json = False,
) -> None:
    """Append a file, cut into blocks."""
    from hypercore.errors import HypercoreError
    from hypercore.io.core import Core

    with refusing(HypercoreError, OSError):
        core = Core.open(directory)
        source = sys.stdin.buffer if str(file) == "-" else file.open("rb")
        with source:
            while batch := [block for _ in range(64) if (block := source.read(block_bytes))]:
                core.append(batch)
        print_result(_facts(core), as_json)
        core.close()


@app.command()
def info(directory: CoreDirectory, as_json: Json = False) -> None:
    """Show key, length and state of a core."""
    from hypercore.errors import HypercoreError
    from hypercore.io.core import Core

    with refusing(HypercoreError, OSError):
        core = Core.open(directory)
        print_result(_facts(core), as_json)
        core.close()


@app.command()
def cat(
    directory: CoreDirectory,
    start: Annotated[int, typer.Option(min=0, help="First block.")] = 0,
    end: Annotated[int | None, typer.Option(min=0, help="Block to stop before.")] = None,
) -> None:
    """Write blocks to standard output."""
    from hypercore.errors import HypercoreError
    from hypercore.io.core import Core

    with refusing(HypercoreError, OSError):
        core = Core.open(directory)
        for index in range(start, core.length if end is None else min(end, core.length)):
            sys.stdout.buffer.write(core.get(index))
        sys.stdout.buffer.flush()
        core.close()


@app.command()
def clone(
    key: Annotated[str, typer.Argument(help="The core's key: z32 or hexadecimal.")],
    peers: Annotated[list[str], typer.Argument(metavar="HOST:PORT…", help="Peers that serve it.")],
    directory: Annotated[Path, typer.Option("--to", help="The directory of the copy.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds without any new block before giving up.")] = 60,
    as_json: Json = False,
) -> None:
    """Download a whole core from peers."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped

    with refusing(HypercoreError, OSError):
        set_up_logs("warning", as_json=False)
        facts = run_until_stopped(_clone, key, [endpoint(peer) for peer in peers], directory, timeout)
        if facts is not None:
            print_result(facts, as_json)


@app.command()
def serve(
    directory: CoreDirectory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 lets the system choose.")] = 0,
    as_json: Json = False,
) -> None:
    """Serve a core to readers until stopped."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped

    with refusing(HypercoreError, OSError):
        set_up_logs("warning", as_json=False)
        run_until_stopped(_serve, directory, host, port, as_json)


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
        if not directory.is_dir():
            raise Refused(f"{directory} is no directory")
        report = check_core(DiskDirectory(directory), repair=repair)
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


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; raises Refused."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refused(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


async def _clone(key: str, peers: list[tuple[str, int]], directory: Path, timeout_seconds: float) -> dict[str, object]:
    from hypercore.io.core import Core
    from hypercore.io.replication import ConnectFailed, open_replication

    core = Core.open(directory, key)
    refusals = []
    async with open_replication() as replication:
        replication.add(core)
        for host, port in peers:
            try:
                await replication.connect(host, port)
            except ConnectFailed as error:
                refusals.append(str(error))
        if len(refusals) == len(peers):
            raise Refused(f"no peer answers: {refusals[0]}")
        if core.length == 0:
            await replication.update(core, timeout_seconds=timeout_seconds)
        await replication.download(core, timeout_seconds=timeout_seconds)
    facts = _facts(core)
    core.close()
    return facts


async def _serve(directory: Path, host: str, port: int, as_json: bool) -> None:
    import trio

    from hypercore.io.core import Core
    from hypercore.io.replication import open_replication

    core = Core.open(directory)
    try:
        async with open_replication() as replication:
            replication.add(core)
            bound = await replication.listen(host, port)
            if as_json:
                print_event("serving", **_facts(core), host=host, port=bound)
            else:
                print_result({**_facts(core), "address": f"{host}:{bound}"}, False)
            await trio.sleep_forever()
    finally:
        core.close()


def _facts(core: object) -> dict[str, object]:
    from hypercore.io.core import Core

    assert isinstance(core, Core)
    return {
        "key": core.key.hex(),
        "id": core.public_id,
        "length": core.length,
        "bytes": core.byte_length,
        "fork": core.fork,
        "local_blocks": core.contiguous_length,
        "writable": core.writable,
    }
