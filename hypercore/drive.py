"""What a Hyperdrive writes into its two cores: entries, the key of the blobs core, and the maps of deduplicated files.

A drive is a bee of entries (path to JSON) and a second core of contents. Nothing but paths of files exists: a folder is
all that begins with its name.

Source: Hyperdrive 13, Hyperblobs 2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypercore import crypto
from hypercore.encoding import MAXIMUM_UINT, Reader, Writer
from hypercore.errors import DecodeError, LocalProtocolError
from hypercore.manifest import Manifest, Signer

BLOB_BLOCK_BYTES = 65_536
FILES = "files"
LINKS_FOLLOWED_MAXIMUM = 16
MAP_BLOCKS_MAXIMUM = 64
MAP_ENTRIES_PER_BLOCK = 8192

_NAMESPACE_BLOBS = crypto.namespace("hyperdrive", 0)


@dataclass(frozen=True, slots=True)
class Blob:
    """Where a file's content is: blocks [block_offset, block_offset + block_length) of the blobs core.

    With `block_map` these blocks hold a map instead, and `byte_length` is the map's size and not the file's.
    """

    block_offset: int
    byte_offset: int
    block_length: int
    byte_length: int
    block_map: bool = False


@dataclass(frozen=True, slots=True)
class DriveEntry:
    """A file (`blob`) or a symbolic link (`linkname`). `metadata` is any JSON value of the writer."""

    executable: bool = False
    linkname: str | None = None
    blob: Blob | None = None
    metadata: Any = None

    def encode(self) -> bytes:
        """The entry as its bee stores it."""
        blob: dict[str, Any] | None = None
        if self.blob is not None:
            blob = {
                "blockOffset": self.blob.block_offset,
                "byteOffset": self.blob.byte_offset,
                "blockLength": self.blob.block_length,
                "byteLength": self.blob.byte_length,
            }
            if self.blob.block_map:
                blob["blockMap"] = True
        fields = {
            "executable": self.executable,
            "linkname": self.linkname,
            "blob": blob,
            "metadata": self.metadata,
        }
        try:
            return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as problem:
            raise LocalProtocolError(f"metadata is not JSON: {problem}") from None

    @classmethod
    def decode(cls, value: bytes | None) -> DriveEntry:
        """The entry in a value of the bee; raises `DecodeError`."""
        try:
            fields = json.loads(value or b"")
        except (ValueError, RecursionError):
            raise DecodeError("the entry of a drive is not JSON") from None
        if not isinstance(fields, dict):
            raise DecodeError("the entry of a drive is not a JSON object")
        linkname, blob = fields.get("linkname"), fields.get("blob")
        if linkname is not None and not isinstance(linkname, str):
            raise DecodeError("linkname is not text")
        return cls(
            executable=fields.get("executable") is True,
            linkname=linkname,
            blob=None if blob is None else _decode_blob(blob),
            metadata=fields.get("metadata"),
        )


def _decode_blob(fields: Any) -> Blob:
    if not isinstance(fields, dict):
        raise DecodeError("blob is not a JSON object")
    return Blob(
        _number(fields, "blockOffset"),
        _number(fields, "byteOffset"),
        _number(fields, "blockLength"),
        _number(fields, "byteLength"),
        block_map=bool(fields.get("blockMap")),
    )


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= MAXIMUM_UINT:
        raise DecodeError(f"{name} of a blob is {value!r:.40} where a number of blocks or bytes belongs")
    return value


def blobs_manifest(manifest: Manifest, key: bytes) -> Manifest | None:
    """The manifest of a drive's blobs core from that of its entries core; None for cores without namespaces (old)."""
    if manifest.version < 1:
        return None
    signers = [
        Signer(signer.public_key, crypto.hash_bytes(_NAMESPACE_BLOBS, key, signer.namespace))
        for signer in manifest.signers
    ]
    return Manifest(manifest.version, manifest.quorum, tuple(signers), allow_patch=manifest.allow_patch)


def normalize_path(path: str, base: str = "/") -> str:
    """The absolute path of `path` seen from `base`, without `.`, `..`, doubled or trailing slashes.

    Backslashes separate, too, as JavaScript does it. Raises `LocalProtocolError` for a path above the root, and for one
    that is not text, such as a file name in another encoding.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{path!a} is not text that UTF-8 can hold") from None
    names: list[str] = []
    text = path.replace("\\", "/")
    for name in (text if text.startswith("/") else f"{base}/{text}").split("/"):
        if name == "..":
            if not names:
                raise LocalProtocolError(f"{path!r} leads out of the drive")
            names.pop()
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def file_path(path: str) -> str:
    """The normalized path of a file; raises `LocalProtocolError` for the root."""
    normal = normalize_path(path)
    if normal == "/":
        raise LocalProtocolError(f"{path!r} names no file")
    return normal


def folder_range(folder: str) -> tuple[str, str]:
    """Between which two paths, exclusive, everything in a folder lies."""
    prefix = normalize_path(folder).rstrip("/")
    return prefix + "/", prefix + "0"


def decode_block_map(blocks: Sequence[bytes]) -> list[tuple[int, int]]:
    """(block number, bytes) of each part of a deduplicated file, in order; raises `DecodeError`."""
    parts: list[tuple[int, int]] = []
    for block in blocks:
        reader = Reader(block)
        version = reader.uint()
        if version != 0:
            raise DecodeError(f"block map version {version} is unknown")
        parts += reader.array(lambda data: (data.uint(), data.uint()), MAP_ENTRIES_PER_BLOCK, item_size_minimum=2)
        reader.finish()
    return parts


def encode_block_map(parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """The blocks of a map."""
    blocks = []
    for start in range(0, len(parts), MAP_ENTRIES_PER_BLOCK):
        out = Writer().uint(0)
        out.array(parts[start : start + MAP_ENTRIES_PER_BLOCK], lambda data, part: data.uint(part[0]).uint(part[1]))
        blocks.append(out.finish())
    return blocks
