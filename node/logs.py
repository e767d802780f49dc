"""Structured logs on standard error: readable lines for people, JSON lines when asked for.

Modules log through structlog or through the standard library; both end in the same lines.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

QUIET_LIBRARIES = ("libp2p", "trie", "eth_utils", "async_service", "asyncio", "urllib3", "multiaddr")


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


def _short_name(_: object, __: str, event: EventDict) -> EventDict:
    """`node.net.gossip` reads as `net.gossip`."""
    event["logger"] = str(event.get("logger", "")).removeprefix("node.")
    return event
