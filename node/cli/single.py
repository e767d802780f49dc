"""`datdot node`: a chain node, a hosting service, or both in one process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from node.cli.genesis import load_spec
from node.cli.keys import load_key
from node.cli.options import Announced, Blocks, LogLevel, Logs, RpcPort, checked_blocks, with_groups
from node.cli.output import Refused, refusing


@dataclass(frozen=True)
class NodeLogs(Logs):
    """A node tells more than other commands."""

    log_level: LogLevel = "info"


@with_groups
def node(
    genesis: Annotated[Path, typer.Option("--genesis", help="The chain file.")],
    validator: Annotated[bool, typer.Option("--validator", help="Make blocks; needs --key.")] = False,
    key: Annotated[str | None, typer.Option("--key", help="The validator's key: a key file or //Name.")] = None,
    provider: Annotated[bool, typer.Option("--provider", help="Offer hosting; needs --account.")] = False,
    account: Annotated[
        list[str] | None, typer.Option("--account", help="A provider's key: a key file or //Name; may be repeated.")
    ] = None,
    base_path: Annotated[Path, typer.Option("--base-path", help="Where to keep the data.")] = Path("datdot-data"),
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="libp2p port; 0 lets the system choose.")] = 0,
    rpc_port: RpcPort = 9944,
    bootnode: Annotated[list[str] | None, typer.Option("--bootnode", help="A peer's multiaddress.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="Keep the states of all blocks.")] = False,
    blocks: Blocks = "interval",
    rpc_cors: Annotated[
        list[str] | None,
        typer.Option("--rpc-cors", help="A web origin to accept instead of https://polkadot.js.org; * for all."),
    ] = None,
    rpc_host: Annotated[list[str] | None, typer.Option("--rpc-host", help="A further Host name to accept.")] = None,
    *,
    announced: Announced,
    logs: NodeLogs,
) -> None:
    """Run a node of a chain file, as validator, as provider, or only following the chain."""
    with refusing():
        logs.set_up()
        if validator != (key is not None):
            raise Refused("--validator and --key go together: which key shall make blocks?")
        if provider != bool(account):
            raise Refused("--provider and --account go together: which accounts shall offer hosting?")
        if announced.hyperswarm and not provider:
            raise Refused("--hyperswarm goes with --provider: only hosted cores are announced")
        from node.cli.running import run_until_stopped
        from node.config import EXPLORER_ORIGINS, NodeConfig, StartRefused
        from node.node import run_node

        config = NodeConfig(
            spec=load_spec(genesis),
            base_path=base_path,
            validator=load_key(key) if key else None,
            providers=tuple(load_key(one) for one in account or ()),
            p2p_port=port,
            rpc_port=rpc_port,
            bootnodes=tuple(bootnode or ()),
            finding=announced.checked(),
            archive=archive,
            blocks=checked_blocks(blocks),
            rpc_hosts=frozenset(rpc_host or ()),
            rpc_origins=frozenset(rpc_cors or EXPLORER_ORIGINS),
        )
        with refusing(StartRefused):
            run_until_stopped(run_node, config)
