"""What can be shared: a file, which becomes a hypercore of 64 KiB blocks, a folder, or a core served over TCP."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import trio

from hypercore.crypto import KeyPair, parse_key
from hypercore.errors import DecodeError, HypercoreError, StoreLocked, StoreMissing
from hypercore.io.core import Core
from hypercore.io.replication import ConnectFailed, ReplicationTimeout, open_replication
from node.keys.keypair import Keypair
from node.roles import limits
from node.roles.share_folder import digest_of_core, open_folder
from node.roles.shared_core import IsPublished, Share, SharedCore, ShareRefused
from pallets.datdot.sealing import CHUNK_MAX_BYTES

_SERVED_CORE = re.compile(r"^(?P<key>[^@]+)@(?P<host>[^@]+):(?P<port>[0-9]{1,5})$")
READ_BYTES = limits.SHARE_BLOCK_BYTES * limits.SHARE_BATCH_BLOCKS


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class FolderSource:
    """A folder on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class CoreSource:
    """A core that a peer serves."""

    key: bytes
    host: str
    port: int

    def __str__(self) -> str:
        return f"the core {self.key.hex()}"


Source = FileSource | FolderSource | CoreSource


def parse_source(text: str) -> Source:
    """Read PATH or KEY@HOST:PORT; an existing path wins. Raises ShareRefused."""
    path = Path(text)
    if path.is_file():
        return FileSource(path)
    if path.is_dir():
        return FolderSource(path)
    match = _SERVED_CORE.match(text)
    if match is None:
        wrong_form = "is not of the form KEY@HOST:PORT, and there is no such file or folder"
        kind = wrong_form if "@" in text else "does not exist"
        raise ShareRefused(f"{text} {kind}")
    try:
        key = parse_key(match["key"])
    except DecodeError as error:
        raise ShareRefused(f"{match['key']} is not the key of a core: {error}") from None
    port = int(match["port"])
    if not 0 < port < 65_536:
        raise ShareRefused(f"{match['port']} is not a port: ports are 1 to 65535")
    return CoreSource(key, match["host"].strip("[]"), port)


async def open_source(
    source: Source, directory: Path, account: Keypair, is_published: IsPublished = lambda key: False
) -> Share:
    """Make or complete the copy of a source below `directory`; raises ShareRefused.

    What `is_published` is not changed any more: the chain knows it as it is.
    """
    try:
        match source:
            case FileSource(path):
                return _alone(await trio.to_thread.run_sync(_core_of_file, path, directory, account))
            case FolderSource(path):
                return await open_folder(path, directory, account, is_published)
            case CoreSource():
                return _alone(await _copy_of_core(source, directory))
    except StoreLocked:
        raise ShareRefused(f"{source} is being shared already") from None
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise ShareRefused(f"{source} cannot be shared: {what}") from error
    except HypercoreError as error:
        raise ShareRefused(f"{source} cannot be shared: {error}") from error


def _alone(shared: SharedCore) -> Share:
    return Share((shared,), shared.core.close)


def _core_of_file(path: Path, directory: Path, account: Keypair) -> SharedCore:
    """A core whose key follows from account and content, so that sharing a file again gives the same core."""
    digest = _digest_of_file(path)
    home = directory / digest.hex()
    key_pair = KeyPair.from_seed(account.derived_seed(f"share/{digest.hex()}"))
    core = _open_or_create(home / "core", key_pair)
    try:
        _append_rest(core, path)
        if digest_of_core(core) != digest:
            raise ShareRefused(f"{path} changed while it was read: share it again")
    except BaseException:
        core.close()
        raise
    return SharedCore(core, digest, home)


def _open_or_create(home: Path, key_pair: KeyPair) -> Core:
    try:
        return Core.open(home)
    except StoreMissing:
        return Core.create(home, key_pair=key_pair)


def _digest_of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        if file.tell() == 0:
            raise ShareRefused(f"{path} is empty: there is nothing to host")
    return digest


def _append_rest(core: Core, path: Path) -> None:
    """Append what a former attempt left out, READ_BYTES at a time."""
    with path.open("rb") as file:
        file.seek(core.length * limits.SHARE_BLOCK_BYTES)
        while data := file.read(READ_BYTES):
            step = limits.SHARE_BLOCK_BYTES
            core.append([data[start : start + step] for start in range(0, len(data), step)])


async def _copy_of_core(source: CoreSource, directory: Path) -> SharedCore:
    where = f"{source.host}:{source.port}"
    home = directory / source.key.hex()
    core = await trio.to_thread.run_sync(Core.open, home / "core", source.key)
    try:
        async with open_replication() as replication:
            await replication.connect(source.host, source.port)
            await replication.update(core, max(1, core.length), timeout_seconds=limits.GREETING_SECONDS)
            while core.contiguous_length < core.length:
                await replication.download(core, timeout_seconds=limits.SHARE_FETCH_SECONDS)
        _check_block_sizes(core)
        return SharedCore(core, await trio.to_thread.run_sync(digest_of_core, core), home)
    except ConnectFailed:
        core.close()
        raise ShareRefused(f"nobody serves hypercores at {where}: check the address, and that the peer runs") from None
    except ReplicationTimeout as error:
        core.close()
        raise ShareRefused(f"the peer at {where} does not serve the whole core {source.key.hex()}: {error}") from None
    except BaseException:
        core.close()
        raise


def _check_block_sizes(core: Core) -> None:
    read_node = core.view().read_node
    for index in range(core.length):
        node = read_node(2 * index)
        if node is None or node.size > CHUNK_MAX_BYTES:
            size = "an unknown number of" if node is None else str(node.size)
            raise ShareRefused(f"block {index} has {size} bytes: only blocks of up to {CHUNK_MAX_BYTES} are hosted")
