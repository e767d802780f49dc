"""Lines on standard output: for programs that follow a command, and with what strangers said."""

import json
import sys
from typing import Any


def print_event(event: str, /, **values: Any) -> None:
    """One JSON object on a line of its own, flushed, for programs that follow a command that goes on."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """A stranger's text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
