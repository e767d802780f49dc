"""How commands speak: JSON lines or text on standard output, one clear sentence and an exit status for refusals.

Exit status: 0 done, 1 refused with a reason, 2 wrong usage.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from node.exceptions import first_of

REFUSED = 1
WRONG_USAGE = 2


class Refused(Exception):
    """The command cannot do what was asked: one sentence that says why and what to do."""


def print_event(event: str, /, **values: Any) -> None:
    """One JSON object on a line of its own, flushed, for programs that follow a command that goes on."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def print_result(values: dict[str, Any], as_json: bool) -> None:
    """A command's result: one JSON object, or a line per field."""
    if as_json:
        sys.stdout.write(json.dumps(values) + "\n")
    else:
        width = max((len(name) for name in values), default=0)
        for name, value in values.items():
            sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {value}\n")
    sys.stdout.flush()


def refuse(sentence: str) -> NoReturn:
    """Ends the command with a reason on standard error and exit status 1."""
    typer.echo(f"datdot: {sentence}", err=True)
    raise typer.Exit(REFUSED)


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turns the named errors (and Refused, also inside exception groups) into a refusal without a traceback."""
    try:
        yield
    except BaseException as error:
        found = first_of(error, (Refused, *errors))
        if found is None:
            raise
        refuse(str(found))
