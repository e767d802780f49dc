"""`datdot` inside the test's own process: its exit status, what it prints, its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner, Result

from node.cli.main import app


def datdot(*arguments: object, input: bytes | str | None = None, env: dict[str, str | None] | None = None) -> Result:
    """Runs a command to its end; `env` are variables to set, None to unset."""
    return CliRunner().invoke(app, [*map(str, arguments)], input=input, env=env)


def as_json(command: Callable[..., Result], *arguments: object) -> dict[str, Any]:
    """The one line that a command prints with --json when all goes well."""
    result = command(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found
