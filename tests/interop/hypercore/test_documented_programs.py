"""The programs of docs/how-to/hypercore.md, run as they stand: a Python writer and a JavaScript reader."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.node import FOLDER, find_node

ROOT = FOLDER.parents[1]
GUIDE = (ROOT / "docs" / "how-to" / "hypercore.md").read_text()
PATIENCE_SECONDS = 60

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


def program(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)[0]


def test_the_javascript_program_is_ten_lines_and_reads_what_the_python_program_serves(tmp_path: Path) -> None:
    reader, writer = tmp_path / "reader.mjs", tmp_path / "writer.py"
    reader.write_text(program("js"))
    writer.write_text(program("python"))
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    assert len(program("js").split("\n\n", 1)[1].strip().splitlines()) <= 10
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, writer], env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            key, port = serving.stdout.readline().split()
            command = [str(find_node()), str(reader), key, "127.0.0.1", port]
            result = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
        finally:
            serving.terminate()
    assert (result.stdout, result.stderr, result.returncode) == ("hello\nworld\n", "", 0)
