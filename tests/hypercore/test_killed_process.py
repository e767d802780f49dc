"""Real processes and real directories: killed writers, copied directories, failed openings."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hypercore import crypto
from hypercore.errors import HypercoreError
from hypercore.io import store as store_module
from hypercore.io.core import Core

KEY_PAIR = crypto.KeyPair.from_seed(b"\x01" * 32)

CHILD = """
import sys
from pathlib import Path
from hypercore.io.core import Core
core = Core.open(Path(sys.argv[1]))
while True:
    core.append([b"%d" % core.length, b"%d" % (core.length + 1) * 9000])
    print(core.length, flush=True)
"""


def test_a_killed_writer_keeps_every_append_that_it_reported(tmp_path: Path) -> None:
    Core.create(tmp_path / "core", key_pair=KEY_PAIR).close()
    length = 0
    for round_number in range(3):
        root = str(Path(store_module.__file__).parents[2])
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "core")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
        ) as child:
            assert child.stdout is not None
            reported = [int(child.stdout.readline()) for _ in range(5 + 7 * round_number)][-1]
            child.send_signal(signal.SIGKILL)
        core = Core.open(tmp_path / "core")
        assert core.length >= reported > length
        length = core.length
        for index in range(length):
            assert core.get(index) == b"%d" % index * (9000 if index % 2 else 1)
        core.close()


def test_a_copied_directory_of_a_running_core_opens_at_the_same_head(tmp_path: Path) -> None:
    core = Core.create(tmp_path / "core", key_pair=KEY_PAIR)
    core.append([b"one", b"two"])
    shutil.copytree(tmp_path / "core", tmp_path / "copy")
    copied = Core.open(tmp_path / "copy")
    assert copied.tree_hash() == core.tree_hash()
    copied.close()
    core.close()


def test_an_opening_that_fails_releases_the_directory(tmp_path: Path) -> None:
    core = Core.create(tmp_path, key_pair=KEY_PAIR)
    core.append(b"x")
    core.close()
    (tmp_path / "identity").rename(tmp_path / "aside")
    with pytest.raises(HypercoreError):
        Core.open(tmp_path)
    (tmp_path / "aside").rename(tmp_path / "identity")
    Core.open(tmp_path).close()
