"""Options that several commands share."""

from typing import Annotated

import typer

from node.cli.output import Refused
from node.config import BLOCK_MODES, BlockMode, FindingConfig

RpcPort = Annotated[int, typer.Option("--rpc-port", min=0, max=65_535, help="JSON-RPC port; 0 lets the system choose.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines on standard output.")]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error (on standard error).")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines.")]
Blocks = Annotated[str, typer.Option("--blocks", help="interval, instant (on each extrinsic) or manual.")]
Shares = Annotated[
    list[str] | None,
    typer.Option("--share", metavar="PATH|KEY@HOST:PORT", help="File, folder or served core to host; may be repeated."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=1, help="With --share: give up after so many seconds (exit 1).")
]
Lan = Annotated[bool, typer.Option("--lan/--no-lan", help="Tell the local network, as far as the port is reachable.")]
AskLan = Annotated[bool, typer.Option("--lan/--no-lan", help="Ask the local network when no peer is named.")]
UseHyperswarm = Annotated[
    bool, typer.Option("--hyperswarm", help="Let readers on Hyperswarm find it (needs Node.js and the bridge).")
]
HyperswarmBootstrap = Annotated[
    list[str] | None,
    typer.Option(
        "--hyperswarm-bootstrap",
        metavar="HOST:PORT",
        help="--hyperswarm-bootstrap: a node of a private Hyperswarm; repeatable.",  # long names are cut in the help
    ),
]
LOG_LEVELS = ("debug", "info", "warning", "error")


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; raises Refused."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refused(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def checked_finding(lan: bool, hyperswarm: bool, bootstrap: list[str] | None) -> FindingConfig:
    """Where to announce; raises Refused when the Hyperswarm options contradict each other or the bridge is missing."""
    from node.hyperswarm import BridgeMissing, bridge_command

    if bootstrap and not hyperswarm:
        raise Refused("--hyperswarm-bootstrap goes with --hyperswarm")
    if hyperswarm:
        try:
            bridge_command()
        except BridgeMissing as missing:
            raise Refused(str(missing)) from None
    return FindingConfig(lan, hyperswarm, tuple(endpoint(one) for one in bootstrap or ()))


def set_up_logs(level: str, as_json: bool) -> None:
    """Configures the process's logs; raises Refused for an unknown level."""
    from node.logs import configure_logs

    if level not in LOG_LEVELS:
        raise Refused(f"--log-level: {level!r} is not known; use one of {', '.join(LOG_LEVELS)}")
    configure_logs(level, as_json=as_json)


def checked_blocks(mode: str) -> BlockMode:
    """The block mode, or Refused with those that exist."""
    for known in BLOCK_MODES:
        if mode == known:
            return known
    raise Refused(f"--blocks: {mode!r} is not known; use one of {', '.join(BLOCK_MODES)}")


def checked_shares(shares: list[str] | None) -> tuple[str, ...]:
    """The things to share; raises Refused for what is neither a file, a folder nor KEY@HOST:PORT."""
    from node.roles.share_source import parse_source
    from node.roles.shared_core import ShareRefused

    for share in shares or ():
        try:
            parse_source(share)
        except ShareRefused as refusal:
            raise Refused(f"--share: {refusal}") from None
    return tuple(shares or ())
