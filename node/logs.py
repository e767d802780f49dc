"""Structured logs on standard error: readable lines for people, JSON lines when asked for.

Modules log through structlog or through the standard library; both end in the same lines.
"""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor

QUIET_LIBRARIES = ("libp2p", "trie", "eth_utils", "async_service", "asyncio", "urllib3", "multiaddr")
MAX_LOG_TARGETS = 64
FILTER_LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
"""Substrate's names of levels."""


def configure_logs(level: str = "info", *, as_json: bool = False) -> None:
    """Sets up the process's logs. `level` is debug, info, warning or error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=32)
    if as_json:
        renderer = structlog.processors.JSONRenderer()
        shared.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _short_name, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(getattr(logging, level.upper()))
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class BadLogFilter(ValueError):
    """A filter that is not of the form `target=level` or `level`, several separated by commas."""


class LogFilters:
    """Levels of single loggers over that of the process, changed while it runs. Targets are named as log lines show."""

    def __init__(self) -> None:
        self._level = logging.getLogger().level
        self._targets: set[str] = set()

    def add(self, directives: str) -> None:
        """Take `target=level,…`; a level alone is that of everything. Raises BadLogFilter, then nothing has changed."""
        parsed = [_directive(one) for one in directives.split(",")]
        named = self._targets | {target for target, _ in parsed if target}
        if len(named) > MAX_LOG_TARGETS:
            raise BadLogFilter(f"at most {MAX_LOG_TARGETS} targets have a level of their own")
        for target, level in parsed:
            for logger in _loggers(target):
                logger.setLevel(level)
        self._targets = named

    def reset(self) -> None:
        """Forget all filters."""
        logging.getLogger().setLevel(self._level)
        for target in self._targets:
            for logger in _loggers(target):
                logger.setLevel(logging.NOTSET)
        self._targets = set()


def _directive(text: str) -> tuple[str, int]:
    target, _, level = text.strip().rpartition("=")
    if level not in FILTER_LEVELS or not re.fullmatch(r"[\w.]{0,64}", target):
        known = ", ".join(FILTER_LEVELS)
        raise BadLogFilter(f"write a filter as target=level, such as net.gossip=debug; the levels are {known}")
    return target, FILTER_LEVELS[level]


def _loggers(target: str) -> tuple[logging.Logger, ...]:
    """Log lines leave the `node.` of module names out."""
    return (logging.getLogger(target), logging.getLogger(f"node.{target}")) if target else (logging.getLogger(),)


def _short_name(_: object, __: str, event: EventDict) -> EventDict:
    """`node.net.gossip` reads as `net.gossip`."""
    event["logger"] = str(event.get("logger", "")).removeprefix("node.")
    return event
