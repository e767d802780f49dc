"""Every decoder of hypercore/ under arbitrary bytes: a value that encodes to the same, or an error of its kind."""

from __future__ import annotations

from collections.abc import Callable

from hypercore.bee_blocks import BeeBlock, Header
from hypercore.conflict import Conflict
from hypercore.crypto import KeyPair
from hypercore.drive import DriveEntry, decode_block_map
from hypercore.encoding import Reader
from hypercore.errors import LocalProtocolError, RemoteProtocolError, StoreCorrupt
from hypercore.heads import (
    decode_block_proof,
    decode_block_sizes_proof,
    decode_head_proof,
    encode_block_proof,
    encode_block_sizes_proof,
    encode_head_proof,
)
from hypercore.io.journal import Change
from hypercore.io.store_files import decode_identity, decode_user_data, encode_identity
from hypercore.manifest import Manifest, MultiSignature
from hypercore.messages import Handshake, decode_message
from hypercore.protomux import MAX_CHANNELS, MAX_UNANSWERED_BYTES, ChannelMessage, OpenRequested, Protomux
from hypercore.quorum import SignaturePart
from hypercore.secret_stream import SecretStream

IDENTITY_MAGIC = b"datdot core 1\n"


def encoding(data: bytes) -> None:
    """The primitives, in the order that the first bytes say."""
    reads: tuple[Callable[[Reader], object], ...] = (
        Reader.uint,
        Reader.signed,
        Reader.uint16,
        Reader.uint32,
        Reader.uint64,
        Reader.boolean,
        Reader.buffer,
        Reader.optional_buffer,
        Reader.string,
        Reader.uint32_array,
        lambda reader: reader.fixed(7),
        lambda reader: reader.array(Reader.uint),
        lambda reader: reader.array(Reader.buffer, 9),
    )
    order, reader = data[:8], Reader(data[8:], canonical=bool(data[:1] and data[0] & 0x80))
    try:
        for choice in order:
            reads[choice % len(reads)](reader)
        reader.finish()
    except RemoteProtocolError:
        pass


def messages(data: bytes) -> None:
    """A message of the core protocol: type, body. What decodes encodes to what decodes to the same."""
    if not data:
        return
    try:
        message = Handshake.decode(data[1:]) if data[0] == 0xFF else decode_message(data[0], data[1:])
    except RemoteProtocolError:
        return
    if message is None:
        return
    again = message.encode()
    same = Handshake.decode(again) if isinstance(message, Handshake) else decode_message(message.type, again)
    assert same == message


def protomux(data: bytes) -> None:
    """Plaintext messages, each behind two bytes of length; every second request for a channel is granted."""
    mux = Protomux()
    mux.open("known", b"\x01")
    position, grants = 0, 0
    try:
        while position + 2 <= len(data):
            size = int.from_bytes(data[position : position + 2], "little")
            mux.receive(data[position + 2 : position + 2 + size])
            position += 2 + size
            while (event := mux.next_event()) is not None:
                if isinstance(event, OpenRequested):
                    grants += 1
                    (mux.open if grants % 2 else mux.reject)(event.protocol, event.id)
                elif isinstance(event, ChannelMessage):
                    mux.send(event.channel, 1, event.body[:10])
            mux.flush()
            assert len(mux._remote) <= MAX_CHANNELS
            assert mux._unanswered_bytes <= MAX_UNANSWERED_BYTES
    except RemoteProtocolError:
        pass


def secret_stream(data: bytes) -> None:
    """Bytes of the encrypted link, cut into pieces, at one of its stages; the end that receives them is ours."""
    stage = data[0] % 4 if data else 0
    ours, theirs = (
        SecretStream(
            is_initiator=initiator,
            static=KeyPair.from_seed(bytes([1 + initiator]) * 32),
            ephemeral=KeyPair.from_seed(bytes([3 + initiator]) * 32),
            header=bytes([initiator]) * 24,
        )
        for initiator in (bool(data[:1] and data[0] & 0x10), not (data[:1] and data[0] & 0x10))
    )
    for _ in range(stage):
        theirs.receive_bytes(ours.data_to_send())
        ours.receive_bytes(theirs.data_to_send())
    good = b"".join(theirs.send(text) for text in (b"one", b"two")) if theirs.established else b""
    stream = (good if stage == 3 and data[0] & 0x20 else b"") + data[1:]
    try:
        for start in range(0, len(stream), 37):
            ours.receive_bytes(stream[start : start + 37])
            assert len(ours._buffer) < 3 + (1 << 24)
    except RemoteProtocolError:
        pass


def manifests(data: bytes) -> None:
    """Manifests, signatures of several signers, and a signer's part, all canonical."""
    kind, body = data[:1], data[1:]
    try:
        if kind < b"\x40":
            manifest = Manifest.decode(body)
            assert manifest.encode() == body
        elif kind < b"\x80":
            signature = MultiSignature.decode(body, 1)
            assert MultiSignature.decode(signature.encode(), 1) == signature
        elif kind < b"\xc0":
            MultiSignature.decode(body, 0)
        else:
            part = SignaturePart.decode(body)
            assert part.encode() == body
    except RemoteProtocolError:
        pass


def chain_proofs(data: bytes) -> None:
    """The proofs that the chain verifies, and a kept conflict."""
    kind, body = data[:1], data[1:]
    try:
        if kind < b"\x40":
            assert encode_head_proof(decode_head_proof(body)) == body
        elif kind < b"\x80":
            assert encode_block_proof(decode_block_proof(body)) == body
        elif kind < b"\xc0":
            assert encode_block_sizes_proof(decode_block_sizes_proof(body)) == body
        else:
            conflict = Conflict.decode(body)
            assert Conflict.decode(conflict.encode()) == conflict
    except RemoteProtocolError:
        pass


def bees_and_drives(data: bytes) -> None:
    """Blocks of a bee, entries of a drive, maps of deduplicated files."""
    kind, body = data[:1], data[1:]
    try:
        if kind < b"\x40":
            header = Header.decode(body)
            assert Header.decode(header.encode()) == header
        elif kind < b"\x80":
            block = BeeBlock.decode(5, body)
            assert all(child < 5 for level in block.levels for child, _ in level.children if child)
        elif kind < b"\xc0":
            entry = DriveEntry.decode(body)
            assert DriveEntry.decode(entry.encode()) == entry
        else:
            decode_block_map([body[: len(body) // 2], body[len(body) // 2 :]])
    except (RemoteProtocolError, LocalProtocolError):
        pass


def store_records(data: bytes) -> None:
    """Records of a journal and the small files, as they are behind their checksums."""
    kind, body = data[:1], data[1:]
    try:
        if kind < b"\x80":
            change = Change.decode(body)
            assert Change.decode(change.encode(1 << 24)) == change
        elif kind < b"\xc0":
            identity = decode_identity(IDENTITY_MAGIC + body)
            assert encode_identity(identity) == IDENTITY_MAGIC + body
        else:
            decode_user_data(body)
    except (RemoteProtocolError, StoreCorrupt):
        pass
