"""py-substrate-interface's own tests, taken from its source distribution and run against a node of ours.

The distribution leaves out the suite's settings, which say where the nodes are, and its recorded metadata; so the
settings are written here, all of them naming our node, and the modules that need recordings are not run.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.interop import python_clients
from tests.interop.python_clients import ClientsMissing

VERSION: Final = "1.8.1"
FOLDER: Final = python_clients.ENVIRONMENTS / f"psi-suite-{VERSION}"
NODES: Final = ("KUSAMA", "POLKADOT", "ROCOCO", "MOONBEAM", "BABE", "AURA")
MODULES: Final = ("extension_interface", "init", "query", "query_map", "runtime_call", "subscriptions")
TIMEOUT_SECONDS: Final = 300
RESULT: Final = re.compile(r"^(test_\w+) \(test\.test_(\w+)\.\w+\.\w+\) \.\.\. (?:.* )?(ok|FAIL|ERROR)$", re.MULTILINE)


def install() -> Path:
    """Fetches the suite once, and returns the folder to run it in. Raises ClientsMissing."""
    python = python_clients.install("psi")
    with (python_clients.REQUIREMENTS / "psi.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "test" / "__init__.py").exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            _fetch(python)
    return FOLDER


def run(url: str) -> dict[str, str]:
    """What became of each test of MODULES, "ok", "FAIL" or "ERROR", by "module.test"; all nodes are that at `url`."""
    folder = install()
    settings = "".join(f"{name}_NODE_URL = {url!r}\n" for name in NODES)
    (folder / "test" / "settings.py").write_text(settings)
    command = [str(python_clients.install("psi")), "-W", "ignore", "-m", "unittest", "-v"]
    result = subprocess.run(
        [*command, *(f"test.test_{module}" for module in MODULES)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    results = {f"{module}.{test}": outcome for test, module, outcome in RESULT.findall(result.stderr)}
    total = re.search(r"^Ran (\d+) tests", result.stderr, re.MULTILINE)
    assert total is not None, result.stderr
    assert int(total[1]) == len(results), result.stderr
    return results


def _fetch(python: Path) -> None:
    # Its setup.py takes the version from the variables of a build for a tag.
    environment = {**os.environ, "TRAVIS_TAG": f"v{VERSION}", "GITHUB_REF": f"refs/tags/v{VERSION}"}
    pip = (str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
    result = subprocess.run(
        [*pip, "--dest", str(FOLDER), f"substrate-interface=={VERSION}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise ClientsMissing(f"the source of substrate-interface {VERSION} was not found:\n{result.stderr[-4000:]}")
    root = f"substrate_interface-{VERSION}/"
    with tarfile.open(FOLDER / f"substrate_interface-{VERSION}.tar.gz") as source:
        for member in source.getmembers():
            if member.isfile() and member.name.startswith(f"{root}test/"):
                member.name = member.name.removeprefix(root)
                source.extract(member, FOLDER, filter="data")
    (FOLDER / "test" / "__init__.py").touch()
