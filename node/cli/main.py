"""The `datdot` command: every sub-command imports what it needs when it runs, so that each starts fast."""

from importlib.metadata import version
from typing import Annotated

import typer

from node.cli import bench, calls, cores, devnets, drives, genesis, keys, new, single

app = typer.Typer(
    name="datdot",
    help="A peer-to-peer hosting market for Hypercore data on a Substrate-style chain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(devnets.dev)
app.command("localnet")(devnets.localnet)
app.command("node")(single.node)
app.command("tx")(calls.tx)
app.command("query")(calls.query)
app.command("rpc")(calls.rpc_call)
app.add_typer(new.app, name="new")
app.add_typer(bench.app, name="bench")
app.add_typer(genesis.app, name="genesis")
app.add_typer(keys.app, name="key")
app.add_typer(cores.app, name="core")
app.add_typer(drives.app, name="drive")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"datdot {version('datdot')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Options before the sub-command."""


def main() -> None:
    """Entry point of the `datdot` script."""
    app()
