"""Where commands find the key that encrypts blocks: in a file, never in an argument."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import Refused

KEY_FILE = "encryption-key"
KEY_BYTES = 32

EncryptionKey = Annotated[
    Path | None,
    typer.Option(
        "--encryption-key",
        metavar="FILE",
        help=f"File with the key that encrypts blocks, in hexadecimal; DIR/{KEY_FILE} where there is one.",
    ),
]


def make_encryption_key(directory: Path) -> bytes:
    """A new random key in `directory`, readable by its owner only; the one that is there already, if any."""
    import os

    file = directory / KEY_FILE
    key = os.urandom(KEY_BYTES)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    with os.fdopen(descriptor, "w") as out:
        out.write(key.hex() + "\n")
        out.flush()
        os.fsync(out.fileno())
    return key


def encryption_key_of(directory: Path, file: Path | None) -> bytes | None:
    """The key in `file`, else the one that is kept in `directory`, else None. Raises Refused."""
    if file is not None:
        return _read(file)
    own = directory / KEY_FILE
    return _read(own) if own.exists() else None


def _read(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text())
    except OSError as error:
        raise Refused(f"cannot read the encryption key: {error.strerror}: {file}") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Refused(f"{file} holds no encryption key: {2 * KEY_BYTES} hexadecimal digits are expected")
    return key
