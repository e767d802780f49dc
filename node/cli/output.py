"""How commands speak: JSON lines or text on standard output, one clear sentence and an exit status for refusals.

Exit status: 0 done, 1 refused with a reason, 2 wrong usage.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from node.exceptions import first_of
from node.output import print_event

REFUSED = 1


class Refused(Exception):
    """The command cannot do what was asked: one sentence that says why and what to do."""


def print_result(values: dict[str, Any], as_json: bool) -> None:
    """A command's result: one JSON object, or a line per field."""
    if as_json:
        sys.stdout.write(json.dumps(values) + "\n")
    else:
        width = max((len(name) for name in values), default=0)
        for name, value in values.items():
            sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {_shown(value)}\n")
    sys.stdout.flush()


def print_serving(facts: dict[str, Any], host: str, port: int, announced: list[str], as_json: bool) -> None:
    """What is served, on which address, and where readers find that out."""
    if as_json:
        print_event("serving", **facts, host=host, port=port, announced=announced)
    else:
        places = {"address": f"{host}:{port}", "announced on": ", ".join(announced) or "nothing"}
        print_result({**facts, **places}, False)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == [] else str(value)


def refuse(sentence: str) -> NoReturn:
    """Ends the command with a reason on standard error and exit status 1."""
    typer.echo(f"datdot: {sentence}", err=True)
    raise typer.Exit(REFUSED)


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turns the named errors (and Refused, also inside exception groups) into a refusal without a traceback.

    A reader of our output that went away, as `head` does, needs no sentence.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush when Python ends
            raise typer.Exit(REFUSED) from None
        found = first_of(error, (Refused, *errors))
        if found is None:
            raise
        refuse(sentence_of(found))


def sentence_of(error: Exception) -> str:
    """What went wrong, for a person; of system errors the file comes first and numbers are left out."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
