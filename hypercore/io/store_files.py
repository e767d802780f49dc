"""The small files of a store as bytes: the core's identity and the application's user data. Both carry a checksum."""

from collections.abc import Mapping
from dataclasses import dataclass

from hypercore import crypto
from hypercore.encoding import Reader, Writer
from hypercore.errors import LocalProtocolError, StoreCorrupt
from hypercore.manifest import Manifest

USER_DATA_BYTES_MAXIMUM = 1 << 16

_IDENTITY_MAGIC = b"datdot core 1\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """What never changes about a core, except that a reader may learn the manifest later."""

    key: bytes
    manifest: Manifest | None


def encode_identity(identity: Identity) -> bytes:
    """The content of the file `identity`."""
    out = Writer().fixed(identity.key, crypto.KEY_SIZE)
    body = out.optional_buffer(identity.manifest.encode() if identity.manifest else None).finish()
    return _IDENTITY_MAGIC + body + crypto.hash_bytes(body)


def decode_identity(data: bytes) -> Identity:
    """The identity in a file; raises `StoreCorrupt`."""
    body = data[len(_IDENTITY_MAGIC) : -crypto.HASH_SIZE]
    if not data.startswith(_IDENTITY_MAGIC) or data != _IDENTITY_MAGIC + body + crypto.hash_bytes(body):
        raise StoreCorrupt("the file `identity` is damaged or of another version")
    reader = Reader(body)
    key = reader.fixed(crypto.KEY_SIZE)
    manifest = reader.optional_buffer()
    return Identity(key, Manifest.decode(manifest) if manifest else None)


def encode_user_data(values: Mapping[str, bytes]) -> bytes:
    """The content of the file `user-data`; raises `LocalProtocolError` when it is too large."""
    out = Writer().array(list(values.items()), lambda writer, item: writer.string(item[0]).buffer(item[1]))
    body = out.finish()
    if len(body) > USER_DATA_BYTES_MAXIMUM:
        raise LocalProtocolError(f"user data of {len(body)} bytes, at most {USER_DATA_BYTES_MAXIMUM} are kept")
    return crypto.hash_bytes(body) + body


def decode_user_data(data: bytes | None) -> dict[str, bytes]:
    """The values in a file, if there is one; raises `StoreCorrupt`."""
    if data is None:
        return {}
    body = data[crypto.HASH_SIZE :]
    if crypto.hash_bytes(body) != data[: crypto.HASH_SIZE]:
        raise StoreCorrupt("the file `user-data` is damaged")
    reader = Reader(body)
    values = dict(reader.array(lambda item: (item.string(USER_DATA_BYTES_MAXIMUM), item.buffer())))
    reader.finish()
    return values
