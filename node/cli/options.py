"""Options that several commands share: single ones, and groups of them that go together."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from node.cli.output import Refused
from node.config import BLOCK_MODES, BlockMode, FindingConfig

RpcPort = Annotated[int, typer.Option("--rpc-port", min=0, max=65_535, help="JSON-RPC port; 0 lets the system choose.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines on standard output.")]
Blocks = Annotated[str, typer.Option("--blocks", help="interval, instant (on each extrinsic) or manual.")]
Shares = Annotated[
    list[str] | None,
    typer.Option("--share", metavar="PATH|KEY@HOST:PORT", help="File, folder or served core to host; may be repeated."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=1, help="With --share: give up after so many seconds (exit 1).")
]
Patience = Annotated[
    float, typer.Option("--timeout", min=1, help="Give up when peers brought nothing for so many seconds.")
]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error (on standard error).")]
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Logs:
    """What a command writes to its log."""

    log_level: LogLevel = "warning"
    log_json: Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines.")] = False

    def set_up(self) -> None:
        """Configures the process's logs; raises Refused for an unknown level."""
        set_up_logs(self.log_level, self.log_json)


@dataclass(frozen=True)
class Listening:
    """Where a command accepts readers."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 lets the system choose.")] = 0


@dataclass(frozen=True)
class Announced:
    """Where a command tells readers what it serves."""

    lan: Annotated[
        bool, typer.Option("--lan/--no-lan", help="Tell the local network, as far as the port is reachable.")
    ] = True
    hyperswarm: Annotated[
        bool, typer.Option("--hyperswarm", help="Let readers on Hyperswarm find it (needs Node.js and the bridge).")
    ] = False
    hyperswarm_bootstrap: Annotated[
        list[str] | None,
        typer.Option(
            "--hyperswarm-bootstrap",
            metavar="HOST:PORT",
            # Long names are cut in the help.
            help="--hyperswarm-bootstrap: a node of a private Hyperswarm; repeatable.",
        ),
    ] = None

    def checked(self) -> FindingConfig:
        """Raises Refused when the Hyperswarm options contradict each other or the bridge is missing."""
        from node.hyperswarm import BridgeMissing, bridge_command

        if self.hyperswarm_bootstrap and not self.hyperswarm:
            raise Refused("--hyperswarm-bootstrap goes with --hyperswarm")
        if self.hyperswarm:
            try:
                bridge_command()
            except BridgeMissing as missing:
                raise Refused(str(missing)) from None
        bootstrap = tuple(endpoint(one) for one in self.hyperswarm_bootstrap or ())
        return FindingConfig(self.lan, self.hyperswarm, bootstrap)


@dataclass(frozen=True)
class Sought(Announced):
    """Where a command looks for peers."""

    lan: Annotated[bool, typer.Option("--lan/--no-lan", help="Ask the local network when no peer is named.")] = True
    hyperswarm: Annotated[
        bool, typer.Option("--hyperswarm", help="Look for peers on Hyperswarm, too (needs Node.js and the bridge).")
    ] = False

    def checked(self, *, named: bool = False) -> FindingConfig:
        """With peers that are `named` the local network is left alone. Raises Refused as `Announced.checked`."""
        where = super().checked()
        return replace(where, lan=where.lan and not named)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Lets a command have a parameter whose type is a dataclass of options: the user sees one option for each field."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, type] = {}
    for one in signature.parameters.values():
        if isinstance(one.annotation, type) and is_dataclass(one.annotation):
            groups[one.name] = one.annotation
    options: list[inspect.Parameter] = []
    for one in signature.parameters.values():
        options += _options_of(groups[one.name]) if one.name in groups else [one.replace(kind=one.KEYWORD_ONLY)]

    @wraps(command)
    def grouping(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    grouping.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return grouping


def _options_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; raises Refused."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refused(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


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
