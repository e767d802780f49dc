"""Makes the virtual environment tests/interop/.clients with the packages of python-clients.txt.

It is apart from the project's own environment, so that the clients' dependencies never meet ours. `install()` raises
`ClientsMissing` with a reason; nothing is skipped silently.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "python-clients.txt"
ENVIRONMENT = FOLDER / ".clients"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".installed-from"
INSTALL_TIMEOUT_SECONDS = 900


class ClientsMissing(Exception):
    """The environment of the Python clients could not be made."""


def install() -> Path:
    """Makes the environment unless it is current, and returns its Python; several processes may call it at once."""
    with REQUIREMENTS.open() as requirements:
        fcntl.flock(requirements, fcntl.LOCK_EX)
        fingerprint = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        if not STAMP.exists() or STAMP.read_text() != fingerprint:
            _run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
            (ENVIRONMENT / ".gitignore").write_text("*\n")
            pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(*pip, "--requirement", str(REQUIREMENTS))
            STAMP.write_text(fingerprint)
    return PYTHON


def _run(*command: str) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientsMissing(f"{' '.join(command)}: {error}") from None
    if result.returncode != 0:
        raise ClientsMissing(f"{' '.join(command)} failed with status {result.returncode}:\n{result.stderr[-4000:]}")
