"""A folder of this machine into a drive, and a drive into a folder: only what differs is written.

    from hypercore.io.corestore import Corestore
    from hypercore.io.drive import Drive
    from hypercore.io.drive_mirror import mirror_in, mirror_out

    Path("website").mkdir()
    Path("website/index.html").write_text("<h1>hello</h1>")
    async with Corestore(Path("store")) as store, Drive(store) as drive:
        report = await mirror_in(drive, Path("website"), prune=True)
        assert report.added == 1
        await mirror_out(drive.checkout(drive.version), Path("copy"))
    assert Path("copy/index.html").read_text() == "<h1>hello</h1>"

A drive may come from a stranger: nothing is written outside of the folder, whatever names and links it holds. What
cannot be represented on the other side is left out and named in the report.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hypercore.drive import DriveEntry, normalize_path
from hypercore.io.drive import Drive, DriveView

READ_BYTES = 1 << 20
ENTRIES_PER_CHANGE = 1000
SKIPPED_MAXIMUM = 1000

_TEMPORARY = ".datdot-mirror"


@dataclass(slots=True)
class MirrorReport:
    """What mirroring did: counts of files and links, bytes of file contents written, and why others were left out."""

    same: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    bytes_written: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """Files and links that are now on both sides."""
        return self.same + self.added + self.changed

    def skip(self, path: str, why: str) -> None:
        """Notes what was left out; the first SKIPPED_MAXIMUM are named."""
        if len(self.skipped) < SKIPPED_MAXIMUM:
            self.skipped.append(f"{path}: {why}")


Progress = Callable[[int, int], None]
"""Told how many bytes of file contents are done, and of how many."""


async def mirror_in(
    drive: Drive,
    folder: Path,
    prefix: str = "/",
    *,
    prune: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> MirrorReport:
    """Puts the files and links of a folder into a drive below `prefix`; `prune` removes what the folder lacks.

    Entries change in atomic steps of ENTRIES_PER_CHANGE. With `dry_run` the drive stays as it is, and the report tells
    what would change. Raises `OSError` when the folder cannot be read.
    """
    report = MirrorReport()
    base = normalize_path(prefix)
    found = await trio.to_thread.run_sync(_local_files, folder, report)
    tally = _Tally(progress, sum(status.st_size for _, status in found if stat.S_ISREG(status.st_mode)))
    importer = _Importer(drive, folder, report, tally, dry_run)
    pending: dict[str, DriveEntry | None] = {}
    seen = set()
    for name, status in found:
        path = normalize_path(name, base=base)
        seen.add(path)
        present = await drive.entry(path)
        entry = await importer.entry_of(name, status, present)
        if entry is None:
            report.same += 1
            continue
        report.added += present is None
        report.changed += present is not None
        if not dry_run:
            pending[path] = entry
        if len(pending) >= ENTRIES_PER_CHANGE:
            await drive.change(pending)
            pending.clear()
    if prune:
        async for path, _ in drive.list(base):
            if path not in seen:
                pending[path] = None
                report.removed += 1
    if not dry_run:
        await drive.change(pending)
    return report


async def mirror_out(
    drive: DriveView, folder: Path, prefix: str = "/", *, prune: bool = False, progress: Progress | None = None
) -> MirrorReport:
    """Writes what a drive has below `prefix` into a folder, each file whole or not at all.

    `prune` first removes local files and links that the drive lacks, and folders that this leaves empty: a file may
    have become a folder, or the reverse. Raises `OSError` when the folder cannot be written.
    """
    report = MirrorReport()
    base = normalize_path(prefix)
    await trio.to_thread.run_sync(lambda: folder.mkdir(parents=True, exist_ok=True))
    sizes = [await drive.size(entry) async for _, entry in drive.list(base)] if progress is not None else []
    tally = _Tally(progress, sum(sizes))
    start = len(base.rstrip("/")) + 1
    if prune:
        names = {path[start:] async for path, _ in drive.list(base)}
        await trio.to_thread.run_sync(_remove_others, folder, names, report)
    async for path, entry in drive.list(base):
        name = path[start:]
        problem = await trio.to_thread.run_sync(_unsafe, folder, name)
        if problem is not None:
            report.skip(path, problem)
            continue
        target = folder / name
        if entry.linkname is not None:
            await _export_link(target, name, path, entry.linkname, report)
        elif entry.blob is not None:
            await _export_file(drive, target, entry, report, tally)
        else:
            report.skip(path, "neither a file nor a link")
    return report


def _remove_others(folder: Path, names: set[str], report: MirrorReport) -> None:
    """Removes local files and links of other names, and the folders that this leaves empty."""
    for name, _ in _local_files(folder, report):
        if name in names:
            continue
        (folder / name).unlink()
        report.removed += 1
        for parent in Path(name).parents[:-1]:
            try:
                (folder / parent).rmdir()
            except OSError:
                break


class _Tally:
    """Adds up for a `Progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._done = 0
        self._total = total

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _local_files(folder: Path, report: MirrorReport) -> list[tuple[str, os.stat_result]]:
    """(name with slashes, status) of all files and links below a folder, in the order of names."""

    def fail(error: OSError) -> None:
        raise error

    found = []
    for parent, folders, files in os.walk(folder, onerror=fail):
        for name in (*folders, *files):
            path = Path(parent, name)
            status = path.lstat()
            relative = path.relative_to(folder).as_posix()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not _is_text(relative):
                report.skip(relative.encode(errors="replace").decode(), "its name is not UTF-8")
            elif "\\" in relative:
                report.skip(relative, "a backslash would separate folders in a drive")
            elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                found.append((relative, status))
            else:
                report.skip(relative, "neither a file nor a link")
    return sorted(found)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Importer:
    """Makes entries of local files."""

    drive: Drive
    folder: Path
    report: MirrorReport
    tally: _Tally
    dry_run: bool

    async def entry_of(
        self, name: str, status: os.stat_result, present: DriveEntry | None
    ) -> DriveEntry | None:
        """The entry that a local file needs; None when the drive has it already."""
        path = self.folder / name
        if stat.S_ISLNK(status.st_mode):
            target = await trio.to_thread.run_sync(os.readlink, path)
            root = await trio.to_thread.run_sync(os.path.realpath, self.folder)
            if target.startswith(f"{root}/"):
                target = target[len(root) :]
            return None if present is not None and present.linkname == target else DriveEntry(linkname=target)
        executable = bool(status.st_mode & stat.S_IXUSR)
        metadata = present.metadata if present is not None else None
        if present is not None and present.blob is not None and await _same_content(self.drive, path, status, present):
            self.tally.add(status.st_size)
            if present.executable == executable:
                return None
            return DriveEntry(executable=executable, blob=present.blob, metadata=metadata)
        if self.dry_run:
            self.tally.add(status.st_size)
            return DriveEntry(executable=executable, metadata=metadata)
        async with aclosing(_chunks(path, self.tally)) as chunks:
            blob = await (await self.drive.blobs()).write(chunks)
        self.report.bytes_written += blob.byte_length
        return DriveEntry(executable=executable, blob=blob, metadata=metadata)


async def _same_content(drive: DriveView, path: Path, status: os.stat_result, entry: DriveEntry) -> bool:
    if await drive.size(entry) != status.st_size:
        return False
    assert entry.blob is not None
    blobs = await drive.contents()
    async with await trio.open_file(path, "rb") as file:
        async for part in blobs.read(entry.blob):
            if await file.read(len(part)) != part:
                return False
        return not await file.read(1)


async def _chunks(path: Path, tally: _Tally) -> AsyncGenerator[bytes, None]:
    async with await trio.open_file(path, "rb") as file:
        while chunk := await file.read(READ_BYTES):
            yield chunk
            tally.add(len(chunk))


def _unsafe(folder: Path, name: str) -> str | None:
    """Why a name of the drive must not be written below `folder`, or None."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts) or not _is_text(name):
        return "not a name of a file here"
    place = folder
    for part in parts[:-1]:
        place = place / part
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(mode):
            return f"{part} is a file or a link and not a folder"
    try:
        if stat.S_ISDIR((folder / name).lstat().st_mode):
            return "a folder is in its place"
    except FileNotFoundError:
        pass
    return None


async def _export_link(target: Path, name: str, path: str, linkname: str, report: MirrorReport) -> None:
    """Makes a link; those of the drive's root become relative, and none leads out of the folder."""
    parent = posixpath.dirname(name)
    wanted = posixpath.relpath(linkname, f"/{parent}") if linkname.startswith("/") else linkname
    steps = wanted.split("/")
    up = next((count for count, step in enumerate(steps) if step != ".."), len(steps))
    # Only leading steps up may be trusted: their folders are real, while a later one may go through another link.
    leads_out = up > len(name.split("/")) - 1 or ".." in steps[up:]
    if leads_out or not wanted or "\0" in wanted or not _is_text(wanted):
        report.skip(path, f"its target {linkname!r} is outside of the folder")
        return
    existed = await trio.to_thread.run_sync(os.path.lexists, target)
    if existed and await trio.to_thread.run_sync(_link_target, target) == wanted:
        report.same += 1
        return
    await trio.to_thread.run_sync(_make_link, target, wanted)
    report.changed += existed
    report.added += not existed


def _link_target(path: Path) -> str | None:
    return os.readlink(path) if path.is_symlink() else None


def _make_link(target: Path, wanted: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_TEMPORARY}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(wanted)
    temporary.replace(target)


async def _export_file(
    drive: DriveView, target: Path, entry: DriveEntry, report: MirrorReport, tally: _Tally
) -> None:
    try:
        status: os.stat_result | None = await trio.to_thread.run_sync(target.lstat)
    except FileNotFoundError:
        status = None
    mode = 0o755 if entry.executable else 0o644
    if status is not None and stat.S_ISREG(status.st_mode) and await _same_content(drive, target, status, entry):
        tally.add(status.st_size)
        if bool(status.st_mode & stat.S_IXUSR) == entry.executable:
            report.same += 1
        else:
            await trio.to_thread.run_sync(target.chmod, mode)
            report.changed += 1
        return
    await _write_file(drive, target, entry, mode, report, tally)
    report.changed += status is not None
    report.added += status is None


async def _write_file(
    drive: DriveView, target: Path, entry: DriveEntry, mode: int, report: MirrorReport, tally: _Tally
) -> None:
    """Writes next to the target and moves into place, so that nobody sees half a file."""
    assert entry.blob is not None
    await trio.to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    temporary = target.with_name(f"{_TEMPORARY}-{os.getpid()}")
    blobs = await drive.contents()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = await trio.to_thread.run_sync(os.open, temporary, flags, mode)
        async with trio.wrap_file(os.fdopen(descriptor, "wb")) as file:
            async for part in blobs.read(entry.blob):
                report.bytes_written += await file.write(part)
                tally.add(len(part))
        await trio.to_thread.run_sync(temporary.replace, target)
    finally:
        temporary.unlink(missing_ok=True)
