"""The sealing worker: a small process that seals and opens chunks for its parent over two pipes.

A message is a u32 (big endian) with the length of the rest, then fields, each with a u32 length before it. Requests
come on standard input, one reply to each goes to standard output. The worker ends when its input ends, which is also
what it sees when the parent was killed. It imports the sealing modules only, so that it stays small and starts fast.

    seal    = "seal" | genesis | amendment u64 | position u8 | chunk index u64 | modulus | data = chunk | private key
    open    = "open" | … the same …                                                     | data = sealed | empty
    reply   = "done" | bytes      or  "refused" | fault name | detail      or  "failed" | what went wrong, without data
"""

import os
import sys
from collections.abc import Sequence
from typing import BinaryIO

from node.roles.seal_key import SealKey, SealKeyFault, seal_chunk
from pallets.datdot.sealing import (
    CHUNK_MAX_BYTES,
    Lane,
    LaneKey,
    SealingError,
    SealingFault,
    max_sealed_bytes,
    open_chunk,
)

SEAL = b"seal"
OPEN = b"open"
DONE = b"done"
REFUSED = b"refused"
FAILED = b"failed"
REQUEST_FIELDS = 8

LENGTH_BYTES = 4
MESSAGE_MAX_BYTES = max(CHUNK_MAX_BYTES, max_sealed_bytes(1_024), max_sealed_bytes(2_048)) + 4_096
NICENESS = 10


class MessageError(ValueError):
    """A message between parent and worker is cut, too long, or not made of the expected fields."""


def pack_message(fields: Sequence[bytes]) -> bytes:
    """Length, then each field with its length; raises MessageError when it would be too long."""
    body = b"".join(len(field).to_bytes(LENGTH_BYTES, "big") + field for field in fields)
    if len(body) > MESSAGE_MAX_BYTES:
        raise MessageError(f"a message of {len(body)} bytes is longer than {MESSAGE_MAX_BYTES}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def message_length(prefix: bytes) -> int:
    """Length of the message behind its four first bytes; raises MessageError when it is not acceptable."""
    length = int.from_bytes(prefix, "big")
    if len(prefix) != LENGTH_BYTES or length > MESSAGE_MAX_BYTES:
        raise MessageError(f"a message announces {length} bytes")
    return length


def unpack_fields(body: bytes) -> list[bytes]:
    """The fields of a message; raises MessageError when the lengths do not add up."""
    fields, offset = [], 0
    while offset < len(body):
        start = offset + LENGTH_BYTES
        offset = start + int.from_bytes(body[offset:start], "big")
        if start > len(body) or offset > len(body):
            raise MessageError("a field is cut")
        fields.append(body[start:offset])
    return fields


def seal_request(lane: Lane, key: SealKey, chunk_index: int, chunk: bytes) -> bytes:
    """The message that asks for a sealed chunk; it carries the private key, so it goes into a pipe and nowhere else."""
    return pack_message([SEAL, *_lane_fields(lane, chunk_index), chunk, key.to_bytes()])


def open_request(lane: Lane, chunk_index: int, sealed: bytes) -> bytes:
    """The message that asks for an opened chunk."""
    return pack_message([OPEN, *_lane_fields(lane, chunk_index), sealed, b""])


def _lane_fields(lane: Lane, chunk_index: int) -> list[bytes]:
    if not 0 <= chunk_index < 1 << 64:
        raise SealingError(SealingFault.LANE, f"chunk index {chunk_index} is not an unsigned 64-bit number")
    numbers = [lane.amendment.to_bytes(8, "big"), lane.position.to_bytes(1, "big"), chunk_index.to_bytes(8, "big")]
    return [lane.genesis, *numbers, lane.key.to_bytes()]


def read_reply(body: bytes) -> bytes:
    """The result in a reply; raises what the worker refused or failed with: SealingError or SealKeyFault."""
    status, *fields = unpack_fields(body)
    if status == REFUSED:
        fault, detail = fields
        raise SealingError(SealingFault[fault.decode()], detail.decode())
    if status == FAILED:
        raise SealKeyFault(fields[0].decode())
    return fields[0]


def answer(body: bytes) -> bytes:
    """Do what one request asks for and return the packed reply; raises MessageError when it asks for nothing known."""
    fields = unpack_fields(body)
    if len(fields) != REQUEST_FIELDS or fields[0] not in (SEAL, OPEN):
        raise MessageError(f"a request of {len(fields)} fields")
    operation, genesis, amendment, position, chunk_index, modulus, data, secret = fields
    index = int.from_bytes(chunk_index, "big")
    try:
        key = LaneKey.from_bytes(modulus, len(modulus) * 8)
        lane = Lane(genesis, int.from_bytes(amendment, "big"), int.from_bytes(position, "big"), key)
        if operation == SEAL:
            return pack_message([DONE, seal_chunk(lane, SealKey.from_bytes(secret), index, data)])
        return pack_message([DONE, open_chunk(lane, index, data)])
    except SealingError as error:
        return pack_message([REFUSED, error.fault.name.encode(), error.detail.encode()])
    except SealKeyFault as error:
        return pack_message([FAILED, str(error).encode()])


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the input ends or nobody reads the replies any more."""
    try:
        while prefix := requests.read(LENGTH_BYTES):
            body = requests.read(message_length(prefix))
            replies.write(answer(body))
            replies.flush()
    except BrokenPipeError:
        return


def main() -> None:
    """Entry point of the process, which is less urgent than block production."""
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    # Nothing is worth a clean-up, and a reply that nobody reads must not become a traceback.
    os._exit(0)
