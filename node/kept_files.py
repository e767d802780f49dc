"""Small secrets that a node makes for itself once and keeps in its directory, readable by their owner only."""

import os
import secrets
from pathlib import Path

from node.config import StartRefused

SECRET_BYTES = 32


def kept_seed(path: Path) -> bytes:
    """The 32 random bytes of a file, made if missing. Raises StartRefused."""
    if not path.exists():
        _write(path, secrets.token_bytes(SECRET_BYTES))
    seed = path.read_bytes()
    if len(seed) != SECRET_BYTES:
        raise StartRefused(f"{path} is damaged: delete it and the node gets a new peer id")
    return seed


def kept_token(path: Path) -> str:
    """The random hexadecimal digits of a file, made if missing: who can read it may call unsafe methods."""
    if not path.exists():
        _write(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
    token = path.read_text("ascii", "replace").strip()
    if len(token) < 2 * SECRET_BYTES:
        raise StartRefused(f"{path} is damaged: delete it and the node makes a new token")
    return token


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
