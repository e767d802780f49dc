"""Options that several commands share."""

from typing import Annotated

import typer

from node.cli.output import Refused
from node.config import BLOCK_MODES, BlockMode

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
LOG_LEVELS = ("debug", "info", "warning", "error")


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
