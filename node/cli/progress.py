"""A progress bar with rate and time left, on standard error, for people only: nothing is drawn unless it is a terminal.

    with progress_bar("appending", total=file_bytes) as show:
        show(done_bytes)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

Show = Callable[[int, int | None], None]
"""Takes how much is done, and the total where it is known."""

REFRESHES_PER_SECOND = 8.0


@contextmanager
def progress_bar(
    what: str, total: int | None = None, *, unit: str = "bytes", writes_data: bool = False
) -> Iterator[Show]:
    """A bar while the block of code runs, counting bytes or another `unit`; it disappears afterwards.

    With `writes_data` standard output gets the data itself: no bar where that is a terminal, too.
    """
    if not sys.stderr.isatty() or (writes_data and sys.stdout.isatty()):
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amounts: tuple[ProgressColumn, ...] = (DownloadColumn(), TransferSpeedColumn())
    if unit != "bytes":
        amounts = (MofNCompleteColumn(), TextColumn(unit), _speed_column(unit))
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts,
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(file=sys.stderr),
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
    )
    with progress:
        task = progress.add_task(what, total=total)
        yield lambda done, of: progress.update(task, completed=done, total=total if of is None else of)


def _speed_column(unit: str) -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class SpeedColumn(ProgressColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("?" if speed is None else f"{speed:,.0f} {unit}/s", style="progress.data.speed")

    return SpeedColumn()
