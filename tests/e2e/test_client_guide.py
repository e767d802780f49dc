"""The guide to the client: its examples run as they stand, in their order, against a real node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import LINE_SECONDS, ROOT, datdot

GUIDE = "docs/how-to/python-client.md"
ADDRESS = "ws://127.0.0.1:9944"

pytestmark = pytest.mark.interop


def examples() -> list[str]:
    """The Python blocks of the guide."""
    parts = (ROOT / GUIDE).read_text().split("```python\n")[1:]
    return [part.split("```")[0] for part in parts]


def test_the_examples_of_the_guide_do_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    with datdot("genesis", "new", file, "--validators", 1, "--block-time", 0.5) as made:
        assert made.exit_status() == 0, made.log
    key = ("--validator", "--key", "//Alice", "--base-path", tmp_path / "data", "--rpc-port", 0)
    with datdot("node", "--genesis", file, *key, "--log-json") as node:
        line = node.logged("node started")
        url = line[line.index("ws://") :].split('"')[0]
        shown = []
        for example in examples():
            assert ADDRESS in example
            run = subprocess.run(
                [sys.executable, "-W", "error", "-c", example.replace(ADDRESS, url)],
                cwd=ROOT, capture_output=True, text=True, timeout=LINE_SECONDS, check=False,
            )  # fmt: skip
            assert run.returncode == 0, run.stderr
            shown.append(run.stdout)
    read, ordered, followed, wrong = shown
    assert "user 1     None" in read
    assert "a set has  10 chunks" in read
    assert ordered.startswith("feed 2 plan ")
    assert "PlanState.SCHEDULED" in ordered
    assert "NewFeed(feed=2)" in followed
    assert "NewPlan(plan=" in followed
    assert "the chain lacks it: the connected chain has no call DatDot.submit_performance_challenge" in wrong
