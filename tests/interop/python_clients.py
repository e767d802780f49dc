"""Makes the virtual environments of the Python clients: tests/interop/.clients/NAME from python-clients/NAME.txt.

They are apart from the project's own environment and from each other: two of them bring different packages with the
import name `scalecodec`. `install(name)` raises `ClientsMissing` with a reason; nothing is skipped silently.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "python-clients"
ENVIRONMENTS = FOLDER / ".clients"
INSTALL_TIMEOUT_SECONDS = 900


class ClientsMissing(Exception):
    """The environment of a Python client could not be made."""


def names() -> list[str]:
    """The clients that there are."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def install(name: str) -> Path:
    """Makes a client's environment unless it is current, and returns its Python; several processes may call it."""
    requirements = REQUIREMENTS / f"{name}.txt"
    environment = ENVIRONMENTS / name
    python, stamp = environment / "bin" / "python", environment / ".installed-from"
    with requirements.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fingerprint = hashlib.sha256(requirements.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != fingerprint:
            _run(sys.executable, "-m", "venv", "--clear", str(environment))
            pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(*pip, "--requirement", str(requirements))
            stamp.write_text(fingerprint)
    return python


def _run(*command: str) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientsMissing(f"{' '.join(command)}: {error}") from None
    if result.returncode != 0:
        raise ClientsMissing(f"{' '.join(command)} failed with status {result.returncode}:\n{result.stderr[-4000:]}")
