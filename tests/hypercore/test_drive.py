"""Hyperdrive: JavaScript's blocks byte by byte, reads of any range, versions, links, and hostile entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import crypto
from hypercore.bee_blocks import Header
from hypercore.crypto import KeyPair
from hypercore.drive import (
    BLOB_BLOCK_BYTES,
    Blob,
    DriveEntry,
    blobs_manifest,
    decode_block_map,
    encode_block_map,
    file_path,
    folder_range,
    normalize_path,
)
from hypercore.errors import BlockNotAvailable, DecodeError, LocalProtocolError, ReadOnly
from hypercore.io.blobs import Blobs
from hypercore.io.core import Core
from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive, NoSuchFile
from hypercore.io.log import Log
from hypercore.manifest import Manifest, Signer

PATIENCE_SECONDS = 30
PATTERN = bytes((31 + 7 * j + (j >> 8)) & 255 for j in range(150_000))


async def fill(drive: Drive) -> None:
    """The drive of the vectors."""
    await drive.put("/index.html", b"<h1>hi</h1>")
    await drive.put("/img/a.bin", PATTERN)
    await drive.put("/img/b.txt", b"b")
    await drive.symlink("/link", "/index.html")
    await drive.put("/empty", b"")
    await drive.put("/run.sh", b"#!/bin/sh\n", executable=True, metadata={"x": 1})
    await drive.put("/gone", b"x")
    assert await drive.delete("/gone")


async def test_every_block_is_the_one_that_javascript_writes(vectors: Callable[[str], Any]) -> None:
    vector = vectors("17_hyperdrive")
    drive = Drive(Corestore())
    await fill(drive)
    core = drive.bee.log.core
    assert [core.get(index).hex() for index in range(core.length)] == [b["hex"] for b in vector["metadataBlocks"]]
    blobs = (await drive.contents()).log.core
    assert blobs.length == 7
    for block in vector["blobBlocks"][:7]:
        assert crypto.hash_bytes(blobs.get(block["index"])).hex() == block["hash"]


def test_the_key_of_the_contents_follows_from_the_manifest(vectors: Callable[[str], Any]) -> None:
    vector = vectors("17_hyperdrive")
    signers = [
        Signer(bytes.fromhex(signer["publicKey"]), bytes.fromhex(signer["namespace"]))
        for signer in vector["driveManifest"]["signers"]
    ]
    manifest = Manifest.create(signers, quorum=vector["driveManifest"]["quorum"])
    assert manifest.key().hex() == vector["driveKey"]
    derived = blobs_manifest(manifest, manifest.key())
    assert derived is not None
    assert derived.encode().hex() == vector["contentManifestBytes"]
    assert derived.key().hex() == vector["contentKey"]
    assert blobs_manifest(Manifest(0, 1, tuple(signers)), bytes(32)) is None


def test_entries_decode_to_what_javascript_meant_and_back(vectors: Callable[[str], Any]) -> None:
    vector = vectors("17_hyperdrive")
    for block in vector["metadataBlocks"][1:8]:
        value = bytes.fromhex(block["value"])
        assert DriveEntry.decode(value).encode() == value
    entry = DriveEntry.decode(DriveEntry(blob=Blob(9, 152_023, 1, 14, block_map=True)).encode())
    assert entry.blob is not None
    assert entry.blob.block_map


def test_block_maps_are_those_of_javascript(vectors: Callable[[str], Any]) -> None:
    dedup = vectors("17_hyperdrive")["dedup"]
    blocks = [bytes.fromhex(block) for block in dedup["mapBlocks"]]
    parts = decode_block_map(blocks)
    assert parts == [(part["index"], part["byteLength"]) for part in dedup["decoded"]["blocks"]]
    assert encode_block_map(parts) == blocks
    many = [(number, 1) for number in range(10_000)]
    assert decode_block_map(encode_block_map(many)) == many
    too_many = b"\x00\xfd\x01\x20" + bytes(2 * 8193)
    for damaged in (b"", b"\x01\x00", b"\x00\x05\x00\x00", blocks[0] + b"x", too_many):
        with pytest.raises(DecodeError):
            decode_block_map([damaged])


async def test_files_links_and_folders_are_listed(vectors: Callable[[str], Any]) -> None:
    drive = Drive(Corestore())
    await fill(drive)
    expected = vectors("17_hyperdrive")["entries"]
    assert [path async for path, _ in drive.list()] == [entry["key"] for entry in expected]
    assert [path async for path, _ in drive.list("img")] == ["/img/a.bin", "/img/b.txt"]
    assert [path async for path, _ in drive.list("/im")] == []
    assert await drive.readdir() == ["empty", "img/", "index.html", "link", "run.sh"]
    assert await drive.readdir("/img/") == ["a.bin", "b.txt"]
    assert await drive.readdir("/nowhere") == []
    entry = await drive.entry("run.sh")
    assert entry is not None
    assert (entry.executable, entry.metadata, await drive.size(entry)) == (True, {"x": 1}, 10)
    assert not await drive.exists("/img")
    assert not await drive.delete("/img")


async def test_links_are_followed_when_asked() -> None:
    drive = Drive(Corestore())
    await drive.put("/a/file", b"content")
    await drive.symlink("/a/one", "file")
    await drive.symlink("/b/two", "../a/one")
    await drive.symlink("/round", "/trip")
    await drive.symlink("/trip", "/round")
    await drive.symlink("/out", "../../etc/passwd")
    assert await drive.get("/b/two") is None
    assert await drive.get("/b/two", follow=True) == b"content"
    with pytest.raises(DecodeError, match="more than 16 links"):
        await drive.get("/round", follow=True)
    with pytest.raises(LocalProtocolError, match="leads out"):
        await drive.get("/out", follow=True)
    with pytest.raises(NoSuchFile):
        await anext(drive.read("/b/two"))
    assert [part async for part in drive.read("/b/two", follow=True)] == [b"content"]


async def test_versions_keep_what_was_there() -> None:
    drive = Drive(Corestore())
    await fill(drive)
    assert drive.version == 9
    assert await drive.checkout(8).get("/gone") == b"x"
    assert not await drive.checkout(2).exists("/img/b.txt")
    steps = [(change.kind, change.path, change.version) async for change in drive.history()]
    assert steps[0] == ("put", "/index.html", 2)
    assert steps[-1] == ("delete", "/gone", 9)
    assert [change.path async for change in drive.history(7, reverse=True)] == ["/gone", "/gone"]
    await drive.put("/index.html", b"new")
    assert [(change.kind, change.path) async for change in drive.differences(8)] == [
        ("delete", "/gone"),
        ("put", "/index.html"),
    ]
    assert [change.path async for change in drive.differences(drive.checkout(2), "/img")] == [
        "/img/a.bin",
        "/img/b.txt",
    ]
    await drive.bee.put("not a file", b"{}")
    assert [change.path async for change in drive.history(10)] == []


async def test_several_entries_change_together() -> None:
    drive = Drive(Corestore())
    await drive.put("/a", b"1")
    entry = await drive.entry("/a")
    await drive.change({"/a": None, "/b": entry, "/c": DriveEntry(linkname="b")})
    assert [path async for path, _ in drive.list()] == ["/b", "/c"]
    assert await drive.get("/c", follow=True) == b"1"


@settings(max_examples=30)
@given(
    st.integers(0, 3 * BLOB_BLOCK_BYTES),
    st.integers(0, 3 * BLOB_BLOCK_BYTES + 10),
    st.none() | st.integers(0, 200_000),
    st.integers(1, 70_000),
    st.booleans(),
)
def test_any_range_of_a_content_is_a_slice_of_it(
    size: int, start: int, length: int | None, chunk: int, encrypted: bool
) -> None:
    async def check() -> None:
        data = (PATTERN + PATTERN)[:size]
        blobs = Blobs(Log(Core.create(), encryption_key=bytes(32) if encrypted else None))
        await blobs.write([b"something before"])
        blob = await blobs.write(data[at : at + chunk] for at in range(0, size, chunk))
        assert (blob.block_offset, blob.byte_offset, blob.byte_length) == (1, 16, size)
        assert await blobs.get(blob) == data
        assert await blobs.get(blob, start, length) == data[start:][:length]

    trio.run(check)


async def test_ranges_of_contents_that_were_cut_unevenly() -> None:
    log = Log(Core.create())
    parts = [PATTERN[: 1 + 997 * number % 3000] for number in range(40)]
    log.append([b"before", *parts])
    data = b"".join(parts)
    blob = Blob(1, 6, 40, len(data))
    blobs = Blobs(log)
    for start in range(0, len(data), 487):
        assert await blobs.get(blob, start, 700) == data[start : start + 700]
    assert await blobs.locate(blob, 0) == (1, 0)
    assert await blobs.locate(blob, len(parts[0])) == (2, 0)
    assert await blobs.locate(blob, len(parts[0]) + len(parts[1]) - 1) == (2, len(parts[1]) - 1)


async def test_deduplicated_contents_are_read_in_the_order_of_their_map() -> None:
    log = Log(Core.create())
    log.append([b"aaaa", b"bb", b"c"])
    parts = [(1, 2), (0, 4), (1, 2), (2, 1)]
    log.append(encode_block_map(parts))
    blobs = Blobs(log)
    blob = Blob(3, 7, 1, log.byte_length - 7, block_map=True)
    data = b"bbaaaabbc"
    assert await blobs.size(blob) == len(data)
    for start in range(len(data) + 2):
        for length in (None, 0, 1, 4, 20):
            assert await blobs.get(blob, start, length) == data[start:][:length]
    assert await blobs.clear(blob) >= 0
    assert not log.core.has(0)


@pytest.mark.parametrize(
    "blob",
    [
        Blob(0, 0, 1, 100),
        Blob(0, 50, 2, 20),
        Blob(0, 0, 0, 5),
        Blob(0, 0, 65, 5, block_map=True),
        Blob(0, 0, 1, 5, block_map=True),
    ],
)
async def test_entries_that_do_not_match_their_blocks_are_errors(blob: Blob) -> None:
    log = Log(Core.create())
    log.append([b"\x05onetwo", b"three"])
    with pytest.raises(DecodeError):
        await Blobs(log).get(blob, 1)
        await Blobs(log).get(blob, 0)


async def test_blocks_beyond_the_log_are_not_available() -> None:
    with pytest.raises(BlockNotAvailable):
        await Blobs(Log(Core.create())).get(Blob(7, 0, 1, 5))


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_a_range_is_not_negative(start: int, length: int | None) -> None:
    with pytest.raises(LocalProtocolError, match="not a range"):
        Blobs(Log(Core.create())).read(Blob(0, 0, 0, 0), start, length)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"linkname":1}',
        b'{"blob":1}',
        b'{"blob":{}}',
        b'{"blob":{"blockOffset":-1,"byteOffset":0,"blockLength":0,"byteLength":0}}',
        b'{"blob":{"blockOffset":true,"byteOffset":0,"blockLength":0,"byteLength":0}}',
        b'{"blob":{"blockOffset":0.5,"byteOffset":0,"blockLength":0,"byteLength":0}}',
        b'{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":0,"byteLength":9007199254740992}}',
    ],
)
def test_entries_that_are_none_are_refused(value: bytes | None) -> None:
    with pytest.raises(DecodeError):
        DriveEntry.decode(value)


@pytest.mark.parametrize("metadata", [object(), float("nan"), {1, 2}])
def test_metadata_must_be_json(metadata: Any) -> None:
    with pytest.raises(LocalProtocolError, match="not JSON"):
        DriveEntry(metadata=metadata).encode()


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("a", "/a"),
        ("/a/", "/a"),
        ("//a///b/.", "/a/b"),
        ("a/../b", "/b"),
        ("a\\b", "/a/b"),
        ("/", "/"),
        ("ü/ñ", "/ü/ñ"),
    ],
)
def test_paths_are_normalized(path: str, normal: str) -> None:
    assert normalize_path(path) == normal


def test_paths_that_name_no_file_are_refused() -> None:
    for path in ("..", "/a/../..", "a/../../b"):
        with pytest.raises(LocalProtocolError, match="leads out"):
            normalize_path(path)
    for path in ("", "/", ".", "a/.."):
        with pytest.raises(LocalProtocolError, match="names no file"):
            file_path(path)
    with pytest.raises(LocalProtocolError, match="not text"):
        normalize_path("/name in another encoding: \udcff")
    assert folder_range("/") == ("/", "0")
    assert folder_range("a/b/") == ("/a/b/", "/a/b0")


async def test_a_drive_lives_in_its_store_and_reopens(tmp_path: Path) -> None:
    async with Corestore(tmp_path) as store, Drive(store.namespace("site")) as drive:
        await drive.put("/a", PATTERN)
        key = drive.key
    async with Corestore(tmp_path) as store:
        async with Drive(store.namespace("site")) as drive:
            assert (drive.key, drive.writable) == (key, True)
            assert await drive.get("/a") == PATTERN
            assert await drive.clear("/a") > 0
            with pytest.raises(BlockNotAvailable):
                await drive.get("/a")
            assert await drive.clear("/nothing") == 0
        assert Drive(store).key != key


@pytest.mark.parametrize("encryption_key", [None, bytes(32)], ids=["plain", "encrypted"])
async def test_a_drive_is_read_from_peers(encryption_key: bytes | None) -> None:
    ours, theirs = Corestore(), Corestore()
    drive = Drive(ours, encryption_key=encryption_key)
    await fill(drive)
    with trio.fail_after(PATIENCE_SECONDS):
        async with ours.replicate() as serving, theirs.replicate() as reading:
            await reading.connect("127.0.0.1", await serving.listen())
            async with Drive(theirs, drive.public_id, encryption_key=encryption_key) as copy:
                assert await copy.update() == 9
                assert b"".join([part async for part in copy.read("/img/a.bin", start=140_000)]) == PATTERN[140_000:]
                contents = (await copy.contents()).log.core
                assert (contents.has(2), contents.has(1)) == (False, False)
                assert await copy.get("/img/a.bin") == PATTERN
                assert [path async for path, _ in copy.list()] == [path async for path, _ in drive.list()]
                watch = copy.watch("/img")
                await drive.put("/elsewhere", b"1")
                await drive.put("/img/new", b"2")
                new, old = await anext(watch)
                assert await new.get("/img/new") == b"2"
                assert not await old.exists("/img/new")
                await copy.download()
                assert [index for index in range(contents.length) if not contents.has(index)] == [6]  # a deleted file
                with pytest.raises(ReadOnly):
                    await copy.put("/mine", b"")


async def test_an_old_drive_names_its_contents_in_the_header(key_pair: KeyPair) -> None:
    store = Corestore()
    contents = store.get("contents")
    contents.append(b"old content")
    entries = store.get("entries")
    async with Drive(store, entries.key) as drive:
        drive.bee._shared.header = Header(metadata=True, content_key=contents.key)
        await drive.change({"/old": DriveEntry(blob=Blob(0, 0, 1, 11))})
        assert await drive.get("/old") == b"old content"


async def test_a_compatible_core_without_a_content_key_is_no_drive(key_pair: KeyPair) -> None:
    store = Corestore()
    core = Core.create(key_pair=key_pair, compat=True)
    core.append(Header(metadata=True).encode())
    async with Drive(store, core.key) as drive:
        drive.bee._shared.log.core = core
        with pytest.raises(DecodeError, match="names no core"):
            await drive.contents()
