"""`datdot core …`: hypercores on this machine and over TCP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import HyperswarmBootstrap, Lan, UseHyperswarm, checked_finding, endpoint, set_up_logs
from node.cli.output import Refused, print_event, print_result, refusing

if TYPE_CHECKING:
    from hypercore.io.core import Core
    from hypercore.io.replication import Replication
    from node.config import FindingConfig

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
    directory: Annotated[Path, typer.Option("--to", help="The directory of the copy.")],
    peers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST:PORT]…", help="Peers that serve it; without any, the local network is asked."),
    ] = None,
    lan: Annotated[bool, typer.Option("--lan/--no-lan", help="Ask the local network when no peer is named.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds without any new block before giving up.")] = 60,
    as_json: Json = False,
) -> None:
    """Download a whole core from peers that are named, or that are found on the local network."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped

    with refusing(HypercoreError, OSError):
        set_up_logs("warning", as_json=False)
        if not peers and not lan:
            raise Refused("without the local network, name who serves the core: HOST:PORT")
        facts = run_until_stopped(_clone, key, [endpoint(peer) for peer in peers or ()], directory, timeout)
        if facts is not None:
            print_result(facts, as_json)


@app.command()
def serve(
    directory: CoreDirectory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 lets the system choose.")] = 0,
    lan: Lan = True,
    hyperswarm: UseHyperswarm = False,
    hyperswarm_bootstrap: HyperswarmBootstrap = None,
    as_json: Json = False,
) -> None:
    """Serve a core to readers until stopped."""
    from hypercore.errors import HypercoreError
    from node.cli.running import run_until_stopped
    from node.config import StartRefused

    with refusing(HypercoreError, OSError, StartRefused):
        set_up_logs("warning", as_json=False)
        finding = checked_finding(lan, hyperswarm, hyperswarm_bootstrap)
        run_until_stopped(_serve, directory, host, port, finding, as_json)


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


async def _clone(key: str, peers: list[tuple[str, int]], directory: Path, timeout_seconds: float) -> dict[str, object]:
    from hypercore.io.core import Core
    from hypercore.io.replication import open_replication

    core = Core.open(directory, key)
    try:
        async with open_replication() as replication:
            replication.add(core)
            if peers:
                await _dial(replication, peers)
                await _download(replication, core, timeout_seconds)
            else:
                await _find_and_download(replication, core, timeout_seconds)
        return _facts(core)
    finally:
        core.close()


async def _dial(replication: Replication, peers: list[tuple[str, int]]) -> None:
    from hypercore.io.replication import ConnectFailed

    refusals = []
    for host, port in peers:
        try:
            await replication.connect(host, port)
        except ConnectFailed as error:
            refusals.append(str(error))
    if len(refusals) == len(peers):
        raise Refused(f"no peer answers: {refusals[0]}")


async def _find_and_download(replication: Replication, core: Core, timeout_seconds: float) -> None:
    from hypercore.io.lan import open_lan
    from hypercore.io.replication import ReplicationTimeout
    from hypercore.io.swarm import open_swarm

    async with open_lan() as lan, open_swarm(replication, [lan]) as swarm:
        swarm.find(core)
        try:
            await _download(replication, core, timeout_seconds)
        except ReplicationTimeout:
            if any(session.peers for session in replication.sessions):
                raise
            raise Refused("nobody on the local network serves this core: name a peer that does, HOST:PORT") from None


async def _download(replication: Replication, core: Core, timeout_seconds: float) -> None:
    if core.length == 0:
        await replication.update(core, timeout_seconds=timeout_seconds)
    await replication.download(core, timeout_seconds=timeout_seconds)


async def _serve(directory: Path, host: str, port: int, where: FindingConfig, as_json: bool) -> None:
    import trio

    from hypercore.io.core import Core
    from hypercore.io.replication import open_replication
    from node.finding import Finding

    core = Core.open(directory)
    try:
        async with Finding.start(where, host) as finding, open_replication() as replication:
            replication.add(core)
            bound = await replication.listen(host, port)
            async with finding.announcing(replication, bound) as announcing:
                announcing.announce_only([core.discovery_key])
                announced = ["lan"] if finding.lan is not None else []
                announced += ["hyperswarm"] if await announcing.reached_hyperswarm(core.discovery_key) else []
                if as_json:
                    print_event("serving", **_facts(core), host=host, port=bound, announced=announced)
                else:
                    places = {"address": f"{host}:{bound}", "announced on": ", ".join(announced) or "nothing"}
                    print_result({**_facts(core), **places}, False)
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
