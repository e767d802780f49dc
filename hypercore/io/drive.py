"""Hyperdrive: a versioned folder of files in two cores, written by one and readable by everybody who has its key.

    from hypercore.io.corestore import Corestore
    from hypercore.io.drive import Drive

    async with Corestore(Path("store")) as store, Drive(store) as drive:
        await drive.put("/index.html", b"<h1>hello</h1>", metadata={"type": "text/html"})
        await drive.symlink("/home", "/index.html")
        assert await drive.get("/home", follow=True) == b"<h1>hello</h1>"
        async for path, entry in drive.list("/"):
            print(path, entry.executable, entry.linkname)
        async for part in drive.read("/index.html", start=4, length=5):
            print(part)
        assert not await drive.checkout(2).exists("/home")      # the folder as it was

Somebody else's drive is `Drive(store, key="…")` inside `store.replicate()`: entries and contents come when they are
read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from hypercore.bee_blocks import Header
from hypercore.drive import (
    FILES,
    LINKS_FOLLOWED_MAXIMUM,
    Blob,
    DriveEntry,
    blobs_manifest,
    file_path,
    folder_range,
    normalize_path,
)
from hypercore.errors import DecodeError, HypercoreError
from hypercore.io.bee import Bee, BeeView
from hypercore.io.blobs import Blobs, Chunks
from hypercore.io.core import Core
from hypercore.io.corestore import CoreNamespace
from hypercore.io.drive_iterators import DriveChange, Mapped, Opened, listed, step_between, step_of_history, text_of
from hypercore.io.log import Log
from hypercore.io.log_reader import TIMEOUT_SECONDS


class NoSuchFile(HypercoreError, FileNotFoundError):
    """There is no file of this name in the drive."""


class DriveView:
    """A drive as of one version. Reading only; needs no closing."""

    def __init__(self, drive: Drive, files: BeeView) -> None:
        self._drive = drive
        self._files = files

    @property
    def version(self) -> int:
        """The length of the entries core that this view shows."""
        return self._files.version

    async def entry(self, path: str, *, follow: bool = False) -> DriveEntry | None:
        """The entry of a path, or None; `follow` goes on through symbolic links."""
        name = file_path(path)
        for _ in range(LINKS_FOLLOWED_MAXIMUM):
            found = await self._files.get(name)
            if found is None:
                return None
            entry = DriveEntry.decode(found.value)
            if not follow or entry.linkname is None:
                return entry
            name = normalize_path(entry.linkname, base=name.rpartition("/")[0])
        raise DecodeError(f"{path} leads through more than {LINKS_FOLLOWED_MAXIMUM} links")

    async def exists(self, path: str) -> bool:
        """True when there is an entry of this path."""
        return await self.entry(path) is not None

    async def get(self, path: str, *, follow: bool = False) -> bytes | None:
        """The whole content of a file; None when there is none, or it is a link and `follow` is False."""
        entry = await self.entry(path, follow=follow)
        return None if entry is None or entry.blob is None else await self.get_blob(entry.blob)

    async def get_blob(self, blob: Blob) -> bytes:
        """The content that an entry names."""
        return await (await self.contents()).get(blob)

    async def contents(self) -> Blobs:
        """The core of contents. For a reader this waits for the header and the manifest of the drive."""
        return await self._drive.blobs()

    def read(
        self, path: str, *, start: int = 0, length: int | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        """The content of a file, or `length` bytes of it from byte `start`, in parts of about 64 KiB.

        The iteration raises `NoSuchFile`.
        """

        async def begin() -> AsyncIterator[bytes]:
            entry = await self.entry(path, follow=follow)
            if entry is None or entry.blob is None:
                raise NoSuchFile(f"there is no file {path} in the drive")
            return (await self.contents()).read(entry.blob, start, length)

        return Opened(begin)

    async def size(self, entry: DriveEntry) -> int:
        """Bytes of an entry's content; 0 for a link."""
        return await (await self.contents()).size(entry.blob) if entry.blob is not None else 0

    def list(self, folder: str = "/") -> AsyncIterator[tuple[str, DriveEntry]]:
        """(path, entry) of every file in a folder and below it, in the order of paths."""
        above, below = folder_range(folder)
        return Mapped(self._files.entries(gt=above, lt=below), listed)

    async def readdir(self, folder: str = "/") -> Sequence[str]:
        """The names directly in a folder: of files, and of folders with a slash at their end."""
        above, below = folder_range(folder)
        names: list[str] = []
        bound = above
        while (found := await self._files.peek(gt=bound, lt=below)) is not None:
            name, slash, _ = text_of(found.key)[len(above) :].partition("/")
            if names and names[-1] == name and slash:
                names[-1] = name + slash  # a file and a folder of one name: JavaScript lists it once
            else:
                names.append(name + slash)
            bound = above + name + ("0" if slash else "")
        return names

    def history(self, start: int = 1, end: int | None = None, *, reverse: bool = False) -> AsyncIterator[DriveChange]:
        """Every change of the drive, by the version of the entries core before it: [start, end)."""
        return Mapped(self._drive.bee.checkout(self.version).history(start, end, reverse=reverse), step_of_history)

    def differences(self, other: int | DriveView, folder: str = "/") -> AsyncIterator[DriveChange]:
        """What was written and removed from the version `other` to this one."""
        above, below = folder_range(folder)
        version = other if isinstance(other, int) else other.version
        return Mapped(self._files.differences(version, gt=above, lt=below), step_between(self.version))

    def checkout(self, version: int) -> DriveView:
        """The drive as it was at a version."""
        return DriveView(self._drive, self._files.checkout(version))


class Drive(DriveView):
    """A drive at its newest version: our own, in the core `db` of a store or namespace, or the one of `key`.

    With `encryption_key` both cores are encrypted. Raises `LocalProtocolError` for a key that is none.
    """

    def __init__(
        self,
        store: CoreNamespace,
        key: bytes | str | None = None,
        *,
        encryption_key: bytes | None = None,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
    ) -> None:
        self._store = store
        self._own = key is None
        self._encryption_key = encryption_key
        self._timeout_seconds = timeout_seconds
        options: dict[str, Any] = {"encryption_key": encryption_key, "timeout_seconds": timeout_seconds}
        self.bee = Bee(
            store.get("db", **options) if key is None else store.get(key=key, **options), header=Header(metadata=True)
        )
        self._entries = self.bee.sub(FILES)
        self._blobs: Blobs | None = None
        super().__init__(self, self._entries)

    @property
    def store(self) -> CoreNamespace:
        """The store or namespace that both cores are in."""
        return self._store

    @property
    def key(self) -> bytes:
        """What readers need; the key of the entries core."""
        return self.bee.key

    @property
    def public_id(self) -> str:
        """The key in z-base-32."""
        return self.bee.log.core.public_id

    @property
    def discovery_key(self) -> bytes:
        """What finds the drive without giving its key away."""
        return self.bee.log.core.discovery_key

    @property
    def writable(self) -> bool:
        """True when the signing key is here."""
        return self.bee.writable

    async def blobs(self) -> Blobs:
        """As `contents`."""
        core = self.bee.log.core
        if self._blobs is None:
            header = await self.bee.header() if core.length or not self._own else Header()
            # Somebody else may have been faster meanwhile; the rest happens at once.
            self._blobs = self._blobs or Blobs(self._open_contents(core, header))
        return self._blobs

    def _open_contents(self, core: Core, header: Header) -> Log:
        options: dict[str, Any] = {"encryption_key": self._encryption_key, "timeout_seconds": self._timeout_seconds}
        if header.content_key is not None:
            return self._store.get(key=header.content_key, **options)
        manifest = blobs_manifest(core.manifest, core.key) if core.manifest is not None else None
        if manifest is None:
            raise DecodeError("the header of this drive names no core of contents")
        return self._store.get(manifest=manifest, key_pair=self._store.key_pair("db") if self._own else None, **options)

    async def put(self, path: str, data: bytes, *, executable: bool = False, metadata: Any = None) -> DriveEntry:
        """Writes a whole file. Raises `ReadOnly`."""
        return await self.write(path, [data], executable=executable, metadata=metadata)

    async def write(self, path: str, chunks: Chunks, *, executable: bool = False, metadata: Any = None) -> DriveEntry:
        """Writes a file from chunks, of any size and number. Readers see it once it is complete."""
        name = file_path(path)
        entry = DriveEntry(executable=executable, blob=await (await self.blobs()).write(chunks), metadata=metadata)
        await self._entries.put(name, entry.encode())
        return entry

    async def symlink(self, path: str, target: str, *, metadata: Any = None) -> DriveEntry:
        """Writes a symbolic link; the target is kept as it is, absolute or relative to the link's folder."""
        entry = DriveEntry(linkname=target, metadata=metadata)
        await self._entries.put(file_path(path), entry.encode())
        return entry

    async def delete(self, path: str) -> bool:
        """Removes a path; False when it is not there. Older versions still have it."""
        return await self._entries.delete(file_path(path))

    async def change(self, entries: dict[str, DriveEntry | None]) -> None:
        """Sets (or, for None, removes) several entries as one atomic change."""
        named = {file_path(path): entry for path, entry in entries.items()}
        async with self._entries.batch() as batch:
            for path, entry in named.items():
                if entry is None:
                    await batch.delete(path)
                else:
                    await batch.put(path, entry.encode())

    async def clear(self, path: str) -> int:
        """Gives up the local copy of a file's content; returns the bytes that the file system took back."""
        entry = await self.entry(path)
        return 0 if entry is None or entry.blob is None else await (await self.blobs()).clear(entry.blob)

    async def update(self, version: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Waits for a version, or for the newest of the peers linked by now, and returns the present one."""
        return await self.bee.update(version, timeout_seconds=timeout_seconds)

    async def download(self, folder: str = "/") -> None:
        """Brings the contents of a folder here."""
        blobs = await self.blobs()
        async for _, entry in self.list(folder):
            if entry.blob is not None:
                async for _ in blobs.read(entry.blob):
                    pass

    def watch(self, folder: str = "/") -> AsyncIterator[tuple[DriveView, DriveView]]:
        """Gives (new, old) whenever something in a folder changed; never ends by itself."""
        above, below = folder_range(folder)

        def show(pair: tuple[BeeView, BeeView]) -> tuple[DriveView, DriveView]:
            return DriveView(self, pair[0]), DriveView(self, pair[1])

        return Mapped(self._entries.watch(gt=above, lt=below), show)

    def close(self) -> None:
        """Gives both cores back to the store."""
        self.bee.close()
        if self._blobs is not None:
            self._blobs.log.close()

    async def __aenter__(self) -> Drive:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
