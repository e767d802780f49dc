"""Many cores in one place: named ones, made from one primary key, and copies of others; one replication for all.

    from hypercore.io.corestore import Corestore

    async with Corestore(Path("store")) as store, Corestore(Path("copies")) as copies:
        notes = store.get("notes")                              # ours, writable; one key for one primary key and name
        notes.append(b"first")
        copy = copies.get(key=notes.key)
        async with store.replicate() as serving, copies.replicate() as reading:
            await reading.connect("127.0.0.1", await serving.listen())
            assert await copy.get(0) == b"first"                # came from the peer, and is here now

The keys are those that a JavaScript corestore derives from the same primary key, namespaces and names.

    primary-key                  the secret that all names hang on; readable by its owner only
    cores/<discovery key>/       one core, as `hypercore.io.store` lays it out, and `about`: its key and name
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hypercore import crypto
from hypercore.crypto import KeyPair
from hypercore.encryption import check_encryption_key
from hypercore.errors import CoreClosed, LocalProtocolError, StoreCorrupt, StoreError, StoreMissing
from hypercore.io.core import Core
from hypercore.io.files import Directory, DiskDirectory, MemoryDirectory
from hypercore.io.log import Log
from hypercore.io.log_reader import TIMEOUT_SECONDS, LogReader
from hypercore.io.replication import Replication, open_replication
from hypercore.io.store import Durability
from hypercore.manifest import Manifest

IDLE_CORES_MAXIMUM = 64
ROOT_NAMESPACE = bytes(32)

_NAMESPACE_CORESTORE = crypto.namespace("corestore", 0)
_KEY_FILE = "primary-key"
_ABOUT_FILE = "about"


@dataclass(frozen=True, slots=True)
class StoredCore:
    """A core in a store. `name` and `namespace` are None for cores that were not opened by a name."""

    key: bytes
    discovery_key: bytes
    name: str | None
    namespace: bytes | None


def derive_namespace(parent: bytes, name: str) -> bytes:
    """The namespace `name` inside another one."""
    return crypto.hash_bytes(parent, name.encode())


def derive_key_pair(primary_key: bytes, namespace: bytes, name: str) -> KeyPair:
    """The signing key of a named core."""
    message = _NAMESPACE_CORESTORE + namespace + name.encode()
    return KeyPair.from_seed(blake2b(message, key=primary_key, digest_size=crypto.KEY_SIZE).digest())


@dataclass(slots=True)
class _OpenCore:
    core: Core
    handles: list[LogReader]


class _Shared:
    """What all namespaces of one store have in common: its directory, its open cores, its replication."""

    def __init__(self, path: Path | None, primary_key: bytes | None, durability: Durability) -> None:
        self.path = path
        self.durability = durability
        self.replication: Replication | None = None
        self.closed = False
        self._memory: dict[str, MemoryDirectory] = {}
        self._cores: OrderedDict[bytes, _OpenCore] = OrderedDict()
        self._root: Directory = MemoryDirectory() if path is None else DiskDirectory(path)
        self._root.lock()
        try:
            self.primary_key = self._primary_key(primary_key)
        except BaseException:
            self._root.close()
            raise

    def _primary_key(self, given: bytes | None) -> bytes:
        stored = self._root.load(_KEY_FILE)
        if given is not None and len(given) != crypto.KEY_SIZE:
            raise LocalProtocolError(f"a primary key has {crypto.KEY_SIZE} bytes, got {len(given)}")
        if stored is None:
            stored = given or os.urandom(crypto.KEY_SIZE)
            self._root.replace(_KEY_FILE, stored, private=True)
        if len(stored) != crypto.KEY_SIZE:
            raise StoreCorrupt("the stored primary key is damaged")
        if given is not None and stored != given:
            raise StoreMissing("the corestore in this directory has another primary key")
        return stored

    def directory(self, discovery_key: bytes) -> Directory:
        """Where a core is kept."""
        name = discovery_key.hex()
        if self.path is not None:
            return DiskDirectory(self.path / "cores" / name)
        return self._memory.get(name) or MemoryDirectory()

    def names(self) -> list[str]:
        """The discovery keys of all stored cores, in hexadecimal."""
        if self.path is None:
            return sorted(self._memory)
        folder = self.path / "cores"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def about(self, discovery_key: bytes) -> StoredCore | None:
        """What is noted of a stored core."""
        noted = self.directory(discovery_key).load(_ABOUT_FILE)
        if noted is None:
            return None
        try:
            fields = json.loads(noted)
            namespace = fields["namespace"]
            return StoredCore(
                bytes.fromhex(fields["key"]), discovery_key, fields["name"], namespace and bytes.fromhex(namespace)
            )
        except (ValueError, KeyError, TypeError):
            raise StoreCorrupt(f"the file `about` of core {discovery_key.hex()} is damaged") from None

    def open(
        self, key: bytes, manifest: Manifest | None, pair: KeyPair | None, alias: tuple[bytes, str] | None
    ) -> Core:
        """The core of a key, opened once for all who use it."""
        discovery_key = crypto.discovery_key(key)
        found = self._cores.get(discovery_key)
        if found is not None:
            self._cores.move_to_end(discovery_key)
            core = found.core
        else:
            core = self._open_stored(key, manifest, pair)
            self._cores[discovery_key] = _OpenCore(core, [])
        if pair is not None and not core.writable:
            core.unlock(pair, manifest)
        known = self.about(discovery_key)
        if known is None or (alias is not None and known.name is None):
            namespace, name = alias or (None, None)
            about = {"key": key.hex(), "namespace": namespace and namespace.hex(), "name": name}
            self.directory(discovery_key).replace(_ABOUT_FILE, json.dumps(about).encode())
        if self.replication is not None:
            self.replication.add(core)
        return core

    def _open_stored(self, key: bytes, manifest: Manifest | None, pair: KeyPair | None) -> Core:
        self.close_idle(IDLE_CORES_MAXIMUM)
        if self.path is None:
            self._memory.setdefault(crypto.discovery_key(key).hex(), MemoryDirectory())
        directory = self.directory(crypto.discovery_key(key))
        if pair is not None and manifest is not None:
            try:
                return Core.open(directory=directory, durability=self.durability)
            except StoreMissing:
                return Core.create(directory=directory, key_pair=pair, manifest=manifest, durability=self.durability)
        return Core.open(directory=directory, key=key, durability=self.durability)

    def handle(self, core: Core, log: LogReader) -> None:
        """Counts a handle."""
        self._cores[core.discovery_key].handles.append(log)

    def release(self, log: LogReader) -> None:
        """Uncounts a handle; a core without any is closed, unless peers are being served from it."""
        found = self._cores.get(log.core.discovery_key)
        if found is None or log not in found.handles:
            return
        found.handles.remove(log)
        if not found.handles and self.replication is None:
            self._close_core(log.core.discovery_key)

    def resolve(self, discovery_key: bytes) -> Core | None:
        """The core that a peer asks for, if it is stored here."""
        found = self._cores.get(discovery_key)
        if found is not None:
            return found.core
        about = self.about(discovery_key)
        if about is None or self.closed:
            return None
        try:
            core = self._open_stored(about.key, None, None)
        except StoreError:
            return None
        self._cores[discovery_key] = _OpenCore(core, [])
        return core

    def close_idle(self, maximum: int) -> None:
        """Closes the cores that nobody has a handle of, the longest unused first, until at most `maximum` are left."""
        idle = [discovery_key for discovery_key, found in self._cores.items() if not found.handles]
        for discovery_key in idle[: max(0, len(idle) - maximum)]:
            self._close_core(discovery_key)

    def attach(self, replication: Replication | None) -> None:
        """Lets all open cores use a replication, or none any more."""
        if replication is None:
            self.close_idle(0)
        self.replication = replication
        for found in self._cores.values():
            if replication is not None:
                replication.add(found.core)
            for log in found.handles:
                log.replication = replication

    def close(self) -> None:
        """Closes everything."""
        self.closed = True
        for discovery_key in list(self._cores):
            self._close_core(discovery_key)
        self._root.close()

    def _close_core(self, discovery_key: bytes) -> None:
        core = self._cores.pop(discovery_key).core
        if self.replication is not None:
            self.replication.remove(core)
        core.close()


class CoreNamespace:
    """Names inside a store. The root namespace is the `Corestore` itself, which owns the files."""

    def __init__(self, shared: _Shared, namespace: bytes) -> None:
        self._shared = shared
        self._namespace = namespace

    @property
    def primary_key(self) -> bytes:
        """The secret of all named cores: whoever has it can write them."""
        return self._shared.primary_key

    @property
    def replication(self) -> Replication | None:
        """The replication of `replicate`, while there is one."""
        return self._shared.replication

    def namespace(self, name: str) -> CoreNamespace:
        """The same store with names of its own."""
        return CoreNamespace(self._shared, derive_namespace(self._namespace, name))

    def get(
        self,
        name: str | None = None,
        *,
        key: bytes | str | None = None,
        key_pair: KeyPair | None = None,
        manifest: Manifest | None = None,
        encryption_key: bytes | None = None,
        is_block_key: bool = False,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
    ) -> Log:
        """A handle of one core: our own by `name` or `key_pair`, any by `key` or `manifest`; made when it is new.

        Handles of one core share it; it is closed when the last of them is and no replication runs. A `key_pair` with
        the `key` of a core that it signs makes a copy writable. Raises `LocalProtocolError` when they contradict each
        other, `InvalidSignature` for a key pair that is no signer.
        """
        if self._shared.closed:
            raise CoreClosed("the corestore is closed")
        check_encryption_key(encryption_key)
        alias = None
        if name is not None:
            key_pair, alias = self.key_pair(name), (self._namespace, name)
            if key is not None:
                raise LocalProtocolError("a core has the key of its name or one that is given, not both")
        wanted, manifest = _identified(key, manifest, key_pair)
        core = self._shared.open(wanted, manifest, key_pair, alias)
        return Log(
            core,
            encryption_key=encryption_key,
            is_block_key=is_block_key,
            replication=self._shared.replication,
            timeout_seconds=timeout_seconds,
            owner=self._shared,
        )

    def key_pair(self, name: str) -> KeyPair:
        """The signing key of the core `name` of this namespace."""
        return derive_key_pair(self._shared.primary_key, self._namespace, name)

    def cores(self) -> list[StoredCore]:
        """All cores of the store, or, on a namespace, those that were opened by a name in it."""
        everything = [self._shared.about(bytes.fromhex(name)) for name in self._shared.names()]
        mine = self._namespace
        return [about for about in everything if about and (mine == ROOT_NAMESPACE or about.namespace == mine)]

    @asynccontextmanager
    async def replicate(self, **options: Any) -> AsyncIterator[Replication]:
        """One replication over all cores of the store while the block of code runs; takes `open_replication`'s options.

        Every handle reads through it, and peers that ask for a core that is only stored get it, too.
        """
        if self._shared.replication is not None:
            raise LocalProtocolError("this corestore already replicates")
        async with open_replication(resolve=self._shared.resolve, **options) as replication:
            self._shared.attach(replication)
            try:
                yield replication
            finally:
                self._shared.attach(None)


class Corestore(CoreNamespace):
    """A store in a directory, or in memory when `path` is None; locked while it is open.

    Without `primary_key` the stored one is used, or a random one made. Raises `StoreLocked`, and `StoreMissing` when
    the directory belongs to another primary key.
    """

    def __init__(
        self, path: Path | str | None = None, primary_key: bytes | None = None, *, durability: Durability = "fsync"
    ) -> None:
        directory = None if path is None else Path(path)
        super().__init__(_Shared(directory, primary_key, durability), ROOT_NAMESPACE)

    def close(self) -> None:
        """Closes all cores and gives the directory free; closing twice is fine."""
        if not self._shared.closed:
            self._shared.close()

    async def __aenter__(self) -> Corestore:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _identified(
    key: bytes | str | None, manifest: Manifest | None, key_pair: KeyPair | None
) -> tuple[bytes, Manifest | None]:
    """The key of the core that is meant, and its manifest as far as it follows; raises `LocalProtocolError`."""
    wanted = None if key is None else crypto.parse_key(key)
    if manifest is None and key_pair is not None:
        default = Manifest.default(key_pair.public_key)
        manifest = default if wanted in (None, default.key()) else None
    if manifest is None:
        if wanted is None:
            raise LocalProtocolError("a core is opened by its name, its key, its key pair or its manifest")
        return wanted, None
    if wanted not in (None, manifest.key()):
        raise LocalProtocolError("the key is not that of the manifest: give one of them")
    return manifest.key(), manifest
