"""Where a development network keeps its data, and who is told what happens in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.config import StartRefused
from node.devnet.progress import JsonReporter, Reporter, TextReporter


@contextmanager
def workplace(chosen: Path | None, prefix: str, as_json: bool) -> Iterator[tuple[Path, Reporter]]:
    """The chosen directory, made if missing, or a temporary one that is removed afterwards; and the reporter.

    Raises StartRefused when the directory cannot be used.
    """
    reporter: Reporter = JsonReporter() if as_json else TextReporter()
    try:
        with _directory(chosen, prefix) as directory:
            yield directory, reporter
    finally:
        reporter.close()


@contextmanager
def _directory(chosen: Path | None, prefix: str) -> Iterator[Path]:
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"cannot use {chosen}: {error.strerror}") from None
    yield chosen.resolve()
