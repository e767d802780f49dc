"""`datdot dev` and `datdot localnet`: a whole market on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import (
    Announced,
    Blocks,
    Json,
    Logs,
    Shares,
    Timeout,
    checked_blocks,
    checked_shares,
    with_groups,
)
from node.cli.output import refuse, refusing

DEFAULT_LOCALNET_BLOCK_SECONDS = 6.0

BlockTime = Annotated[
    float | None, typer.Option("--block-time", min=0.1, max=600, help="Seconds per block, written into a new chain.")
]


@with_groups
def dev(
    data: Annotated[Path | None, typer.Option("--data", help="Keep the data here; a temporary folder else.")] = None,
    block_time: BlockTime = None,
    blocks: Blocks = "interval",
    rpc_port: Annotated[int | None, typer.Option("--rpc-port", min=0, max=65_535, help="Default 9944 if free.")] = None,
    app_port: Annotated[int | None, typer.Option("--app-port", min=0, max=65_535, help="Default 8080 if free.")] = None,
    share: Shares = None,
    as_json: Json = False,
    timeout: Timeout = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Take up every edit of the project's pallets, with the state kept.")
    ] = False,
    *,
    announced: Announced,
    logs: Logs,
) -> None:
    """Run a development chain in one process: the project's in whose folder this is, else a whole market.

    The market is a validator, nine providers and funded development accounts.
    """
    with refusing():
        logs.set_up()
        shares, mode = checked_shares(share), checked_blocks(blocks)
        from node.cli.running import run_until_stopped
        from node.config import StartRefused
        from node.devnet.dev import DevConfig, run_dev
        from node.project import ProjectError, project_here

        with refusing(ProjectError):
            project = project_here()
            chain = None if project is None else project.spec()

        config = DevConfig(
            directory=data,
            block_time_seconds=block_time,
            blocks=mode,
            rpc_port=rpc_port,
            app_port=app_port,
            shares=shares,
            finding=announced.checked(),
            timeout_seconds=timeout,
            chain=chain,
            watch=watch,
        )
        with refusing(StartRefused):
            done = run_until_stopped(run_dev, config, as_json)
    _report_unfinished(done, shares, timeout)


@with_groups
def localnet(
    validators: Annotated[int, typer.Option("--validators", min=1, max=64, help="How many validator processes.")] = 4,
    providers: Annotated[int, typer.Option("--providers", min=0, max=256, help="How many provider processes.")] = 9,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where to keep the data; else temporary.")] = None,
    block_time: BlockTime = None,
    base_port: Annotated[
        int | None, typer.Option("--base-port", min=1024, max=60_000, help="First of the ports to use; else free ones.")
    ] = None,
    share: Shares = None,
    as_json: Json = False,
    timeout: Timeout = None,
    *,
    logs: Logs,
) -> None:
    """Run a market of several processes with real ports between them."""
    with refusing():
        logs.set_up()
        shares = checked_shares(share)
        from node.cli.running import run_until_stopped
        from node.config import StartRefused
        from node.devnet.localnet import LocalnetConfig, run_localnet

        config = LocalnetConfig(
            directory=directory,
            validators=validators,
            providers=providers,
            block_time_seconds=block_time or DEFAULT_LOCALNET_BLOCK_SECONDS,
            block_time_given=block_time is not None,
            base_port=base_port,
            shares=shares,
            timeout_seconds=timeout,
        )
        with refusing(StartRefused):
            done = run_until_stopped(run_localnet, config, as_json)
    _report_unfinished(done, shares, timeout)


def _report_unfinished(done: bool | None, shares: tuple[str, ...], timeout: float | None) -> None:
    """A script that waits for `--share` with `--timeout` must not take a stop for success."""
    if not shares or timeout is None:
        return
    if done is None:
        refuse("stopped before everything was available")
    if not done:
        refuse(f"not everything was available within {timeout:g} s: give it more --timeout")
