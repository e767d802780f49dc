"""The examples in docstrings and guides run as they stand."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
MODULES = (
    "hypercore/__init__.py",
    "hypercore/bee.py",
    "hypercore/io/bee.py",
    "hypercore/io/blobs.py",
    "hypercore/io/core.py",
    "hypercore/io/corestore.py",
    "hypercore/io/download.py",
    "hypercore/io/drive.py",
    "hypercore/io/drive_mirror.py",
    "hypercore/io/log.py",
    "hypercore/io/streams.py",
    "hypercore/io/swarm.py",
)
GUIDES = (
    "docs/how-to/hyperbee-and-hyperdrive.md",
    "docs/how-to/hypercore.md",
    "docs/how-to/finding-peers.md",
)


def example_of(module: str) -> str:
    """The first indented block of a module's docstring."""
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text()))
    assert docstring is not None
    lines = docstring.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("    "))
    end = next((n for n in range(start, len(lines)) if lines[n] and not lines[n].startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[start:end]))


def run_body(source: str) -> None:
    """Runs statements as the body of an async function."""
    program = "from pathlib import Path\nasync def main():\n" + textwrap.indent(source, "    ")
    names: dict[str, object] = {}
    exec(compile(program, "example", "exec"), names)
    main = names["main"]

    async def bounded() -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await main()  # type: ignore[operator]

    trio.run(bounded)


@pytest.mark.parametrize("module", MODULES)
def test_the_example_of_a_module_runs(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_body(example_of(module))


def programs_of(guide: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / guide).read_text(), re.DOTALL)


PROGRAMS = [(guide, number) for guide in GUIDES for number in range(len(programs_of(guide)))]


def test_the_guides_have_programs() -> None:
    assert all(programs_of(guide) for guide in GUIDES)


@pytest.mark.parametrize(("guide", "number"), PROGRAMS)
def test_a_program_of_a_guide_runs(
    guide: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(programs_of(guide)[number], guide, "exec"), {"__name__": "__main__"})
