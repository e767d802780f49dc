"""A link whose encryption ends in another program of this machine, which passes the plaintext messages on; no IO.

A Hyperswarm connection is a secret stream already, and the channels inside it are bound to its handshake hash. So the
program that holds the connection tells us the hash with a greeting and then carries messages both ways, and everything
above the encryption runs here as on a TCP link:

    greeting, once, from the program      role (1): 1 when its end was the initiator, else 0
                                          swarm (2, little endian): which of our identities was reached
                                          public key of the peer (32), handshake hash (64)
    both ways                             messages, each behind a 3-byte little-endian length

Only a program of ours may hold the other end: who chooses the handshake hash can pass for anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypercore.errors import LocalProtocolError, RemoteProtocolError
from hypercore.secret_stream import KEY_BYTES, LENGTH_BYTES, MAX_MESSAGE_BYTES

HANDSHAKE_HASH_BYTES = 64
GREETING_BYTES = 1 + 2 + KEY_BYTES + HANDSHAKE_HASH_BYTES


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a bridge says first about a connection that it holds for us."""

    is_initiator: bool
    swarm: int
    remote_public_key: bytes
    handshake_hash: bytes

    @classmethod
    def decode(cls, data: bytes) -> Greeting:
        """Reads GREETING_BYTES bytes; raises RemoteProtocolError when they are no greeting."""
        if len(data) != GREETING_BYTES or data[0] > 1:
            raise RemoteProtocolError("the bridge did not greet as agreed: is it another version?")
        return cls(data[0] == 1, int.from_bytes(data[1:3], "little"), data[3 : 3 + KEY_BYTES], data[3 + KEY_BYTES :])

    def encode(self) -> bytes:
        """Inverse of `decode`."""
        start = bytes((self.is_initiator,)) + self.swarm.to_bytes(2, "little")
        return start + self.remote_public_key + self.handshake_hash


class BridgedLink:
    """Stands where a SecretStream stands: messages in and out, encrypted and authenticated at the bridge."""

    established = True

    def __init__(self, greeting: Greeting) -> None:
        self.is_initiator = greeting.is_initiator
        self.handshake_hash: bytes | None = greeting.handshake_hash
        self.remote_public_key: bytes | None = greeting.remote_public_key
        self._buffer = bytearray()

    def data_to_send(self) -> bytes:
        """Nothing: the handshake is over."""
        return b""

    def send(self, plaintext: bytes) -> bytes:
        """One message for the bridge; raises LocalProtocolError when it is larger than the peer's link could carry."""
        if len(plaintext) > MAX_MESSAGE_BYTES:
            raise LocalProtocolError(f"message of {len(plaintext)} bytes exceeds {MAX_MESSAGE_BYTES}")
        return len(plaintext).to_bytes(LENGTH_BYTES, "little") + plaintext

    def keep_alive(self) -> bytes:
        """Nothing: the bridge keeps its connection alive itself."""
        return b""

    def receive_bytes(self, data: bytes) -> list[bytes]:
        """Takes bytes from the bridge, returns the messages that they complete; empty ones are left out."""
        self._buffer += data
        messages: list[bytes] = []
        offset = 0
        while len(self._buffer) - offset >= LENGTH_BYTES:
            size = int.from_bytes(self._buffer[offset : offset + LENGTH_BYTES], "little")
            if size > MAX_MESSAGE_BYTES:
                raise RemoteProtocolError(f"message of {size} bytes exceeds {MAX_MESSAGE_BYTES}")
            end = offset + LENGTH_BYTES + size
            if end > len(self._buffer):
                break
            if size:
                messages.append(bytes(self._buffer[offset + LENGTH_BYTES : end]))
            offset = end
        del self._buffer[:offset]
        return messages
