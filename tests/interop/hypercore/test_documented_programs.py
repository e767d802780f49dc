"""The JavaScript program of docs/how-to/hypercore.md, run as it stands against `datdot core serve`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hypercore.io.core import Core
from tests.interop.node import FOLDER, find_node

ROOT = FOLDER.parents[1]
GUIDE = (ROOT / "docs" / "how-to" / "hypercore.md").read_text()
PATIENCE_SECONDS = 60

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


def test_the_documented_ten_lines_read_a_served_core(tmp_path: Path) -> None:
    program = re.findall(r"```js\n(.*?)```", GUIDE, re.DOTALL)[0]
    assert len(program.split("\n\n", 1)[1].strip().splitlines()) <= 10
    reader, core = tmp_path / "reader.mjs", tmp_path / "core"
    reader.write_text(program)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    with closing(Core.create(core)) as log:
        log.append([b"hello", b"world"])
    serve = [sys.executable, "-m", "node.cli", "core", "serve", str(core), "--no-lan", "--json"]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            facts = json.loads(serving.stdout.readline())
            command = [str(find_node()), str(reader), facts["key"], facts["host"], str(facts["port"])]
            result = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
        finally:
            serving.terminate()
    assert (result.stdout, result.stderr, result.returncode) == ("hello\nworld\n", "", 0)
