"""The encrypted link under every replication: Noise handshake, then libsodium's secret stream, as a machine without IO.

Order on the byte stream, each item behind a 3-byte little-endian length:

    initiator -> 32 bytes   e
    responder -> 96 bytes   e, ee, s, es
    initiator -> 64 bytes   s, se
    both      -> 56 bytes   stream id (32) and secret stream header (24)
    both      -> messages   plaintext + 17 bytes each; an empty plaintext is a keep-alive

The handshake is Noise_XX_Ed25519_ChaChaPoly_BLAKE2b: standard Noise but for its key pairs, which are Ed25519 signing
keys. Randomness comes in through the constructor, so that equal inputs give equal bytes.

Source: Noise specification revision 34; @hyperswarm/secret-stream 6 as used by Hypercore 11.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum, auto

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from hypercore.crypto import KeyPair, namespace
from hypercore.errors import LocalProtocolError, RemoteProtocolError

LENGTH_BYTES = 3
MAX_FRAME_BYTES = (1 << 24) - 1
MESSAGE_OVERHEAD_BYTES = sodium.crypto_secretstream_xchacha20poly1305_ABYTES
MAX_MESSAGE_BYTES = MAX_FRAME_BYTES - MESSAGE_OVERHEAD_BYTES
HEADER_BYTES = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES

PROTOCOL_NAME = b"Noise_XX_Ed25519_ChaChaPoly_BLAKE2b"
KEY_BYTES = 32
TAG_BYTES = 16
HANDSHAKE_BYTES = (KEY_BYTES, KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES, KEY_BYTES + TAG_BYTES + TAG_BYTES)
STREAM_ID_BYTES = 32
STREAM_NAMESPACE = "hyperswarm/secret-stream"
INITIATOR_NAMESPACE = namespace(STREAM_NAMESPACE, 0)
RESPONDER_NAMESPACE = namespace(STREAM_NAMESPACE, 1)


def diffie_hellman(pair: KeyPair, remote_public_key: bytes) -> bytes:
    """Shared secret (32 bytes) of two Ed25519 key pairs; raises RemoteProtocolError for a point of low order."""
    scalar = bytearray(hashlib.sha512(pair.secret[:KEY_BYTES]).digest()[:KEY_BYTES])
    scalar[0] &= 248
    scalar[31] &= 127
    scalar[31] |= 64
    try:
        return sodium.crypto_scalarmult_ed25519_noclamp(bytes(scalar), remote_public_key)
    except (CryptoError, RuntimeError) as problem:
        raise RemoteProtocolError("the peer's Noise key is not a usable curve point") from problem


def _expand(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """HKDF with HMAC-BLAKE2b and two outputs of 64 bytes."""
    root = hmac.digest(chaining_key, material, "blake2b")
    first = hmac.digest(root, b"\x01", "blake2b")
    return first, hmac.digest(root, first + b"\x02", "blake2b")


@dataclass
class SymmetricState:
    """Noise's running hash `h`, chaining key `ck` and message key with its counter."""

    h: bytes
    ck: bytes
    key: bytes | None = None
    counter: int = 0

    @classmethod
    def start(cls) -> SymmetricState:
        """The state before the first message; the empty prologue is mixed in as the specification asks."""
        name = PROTOCOL_NAME.ljust(64, b"\x00")
        state = cls(h=name, ck=name)
        state.mix_hash(b"")
        return state

    def mix_hash(self, data: bytes) -> None:
        """Binds `data` into the transcript."""
        self.h = hashlib.blake2b(self.h + data).digest()

    def mix_key(self, material: bytes) -> None:
        """Derives the next message key from a shared secret."""
        self.ck, key = _expand(self.ck, material)
        self.key = key[:KEY_BYTES]
        self.counter = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypts (or passes through, before there is a key) and binds the result."""
        data = plaintext
        if self.key is not None:
            data = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, self.h, self._nonce(), self.key)
        self.mix_hash(data)
        return data

    def decrypt(self, data: bytes) -> bytes:
        """Inverse of `encrypt`; raises RemoteProtocolError when the tag is wrong."""
        plaintext = data
        if self.key is not None:
            try:
                plaintext = sodium.crypto_aead_chacha20poly1305_ietf_decrypt(data, self.h, self._nonce(), self.key)
            except CryptoError as problem:
                raise RemoteProtocolError("Noise handshake message does not authenticate") from problem
        self.mix_hash(data)
        return plaintext

    def _nonce(self) -> bytes:
        nonce = bytes(4) + self.counter.to_bytes(8, "little")
        self.counter += 1
        return nonce

    def split(self) -> tuple[bytes, bytes]:
        """The two transport keys: initiator to responder, responder to initiator."""
        first, second = _expand(self.ck, b"")
        return first[:KEY_BYTES], second[:KEY_BYTES]


class NoiseXX:
    """The three handshake messages, alternately written and read."""

    def __init__(self, is_initiator: bool, static: KeyPair, ephemeral: KeyPair) -> None:
        self.is_initiator = is_initiator
        self.remote_static_key: bytes | None = None
        self.state = SymmetricState.start()
        self._static = static
        self._ephemeral = ephemeral
        self._remote_ephemeral = b""
        self._step = 0

    @property
    def complete(self) -> bool:
        """True after the third message."""
        return self._step == len(HANDSHAKE_BYTES)

    @property
    def our_turn(self) -> bool:
        """True when the next message is ours to write."""
        return not self.complete and (self._step % 2 == 0) == self.is_initiator

    @property
    def expected_bytes(self) -> int:
        """Size of the next message."""
        return HANDSHAKE_BYTES[self._step]

    def write(self) -> bytes:
        """Our next message."""
        state, step = self.state, self._step
        self._step += 1
        message = b""
        if step < 2:
            message = self._ephemeral.public_key
            state.mix_hash(message)
        if step == 1:
            state.mix_key(diffie_hellman(self._ephemeral, self._remote_ephemeral))
        if step > 0:
            message += state.encrypt(self._static.public_key)
            state.mix_key(diffie_hellman(self._static, self._remote_ephemeral))
        return message + state.encrypt(b"")

    def read(self, message: bytes) -> None:
        """Takes the peer's next message; raises RemoteProtocolError when it does not authenticate."""
        state, step = self.state, self._step
        self._step += 1
        if step < 2:
            self._remote_ephemeral, message = message[:KEY_BYTES], message[KEY_BYTES:]
            state.mix_hash(self._remote_ephemeral)
        if step == 1:
            state.mix_key(diffie_hellman(self._ephemeral, self._remote_ephemeral))
        if step > 0:
            self.remote_static_key = state.decrypt(message[: KEY_BYTES + TAG_BYTES])
            message = message[KEY_BYTES + TAG_BYTES :]
            state.mix_key(diffie_hellman(self._ephemeral, self.remote_static_key))
        state.decrypt(message)


class _Phase(Enum):
    HANDSHAKE = auto()
    HEADER = auto()
    MESSAGES = auto()


class SecretStream:
    """One end of the encrypted link; bytes from the peer go in, plaintext messages and bytes for the peer come out.

    `static` is our long-lived identity, `ephemeral` a fresh key pair and `header` 24 fresh random bytes, both for this
    link only. After any RemoteProtocolError the stream is unusable.
    """

    def __init__(self, *, is_initiator: bool, static: KeyPair, ephemeral: KeyPair, header: bytes) -> None:
        if len(header) != HEADER_BYTES:
            raise LocalProtocolError(f"a secret stream header is {HEADER_BYTES} bytes, not {len(header)}")
        self.is_initiator = is_initiator
        self.handshake_hash: bytes | None = None
        self._noise = NoiseXX(is_initiator, static, ephemeral)
        self._header = header
        self._phase = _Phase.HANDSHAKE
        self._buffer = bytearray()
        self._to_send: list[bytes] = []
        self._push = sodium.crypto_secretstream_xchacha20poly1305_state()
        self._pull = sodium.crypto_secretstream_xchacha20poly1305_state()
        self._receive_key = b""
        self._advance_handshake()

    @property
    def remote_public_key(self) -> bytes | None:
        """The peer's identity, once the handshake proved it."""
        return self._noise.remote_static_key if self.established else None

    @property
    def established(self) -> bool:
        """True once messages can be sent."""
        return self.handshake_hash is not None

    def data_to_send(self) -> bytes:
        """Handshake bytes to write to the peer now; empty when there are none."""
        data = b"".join(self._to_send)
        self._to_send.clear()
        return data

    def send(self, plaintext: bytes) -> bytes:
        """The framed ciphertext of one message; raises LocalProtocolError before the handshake is done."""
        if not self.established:
            raise LocalProtocolError("the handshake is not complete")
        if len(plaintext) > MAX_MESSAGE_BYTES:
            raise LocalProtocolError(f"message of {len(plaintext)} bytes exceeds {MAX_MESSAGE_BYTES}")
        return _frame(sodium.crypto_secretstream_xchacha20poly1305_push(self._push, plaintext))

    def keep_alive(self) -> bytes:
        """The bytes that tell the peer that we are still here; it drops them."""
        return self.send(b"")

    def receive_bytes(self, data: bytes) -> list[bytes]:
        """Takes bytes from the peer, returns the messages that they complete; keep-alives are left out.

        Raises RemoteProtocolError for anything a conforming peer does not send, before buffering what cannot be valid.
        """
        self._buffer += data
        messages: list[bytes] = []
        offset = 0
        available = len(self._buffer)
        with memoryview(self._buffer) as view:
            while available - offset >= LENGTH_BYTES:
                size = int.from_bytes(view[offset : offset + LENGTH_BYTES], "little")
                self._check_size(size)
                end = offset + LENGTH_BYTES + size
                if end > available:
                    break
                message = self._receive_frame(bytes(view[offset + LENGTH_BYTES : end]))
                offset = end
                if message:
                    messages.append(message)
        del self._buffer[:offset]
        return messages

    def _check_size(self, size: int) -> None:
        if self._phase is _Phase.MESSAGES:
            if size < MESSAGE_OVERHEAD_BYTES:
                raise RemoteProtocolError(f"frame of {size} bytes is shorter than an empty message")
            return
        expected = STREAM_ID_BYTES + HEADER_BYTES
        if self._phase is _Phase.HANDSHAKE:
            expected = self._noise.expected_bytes
        if size != expected:
            raise RemoteProtocolError(f"handshake frame of {size} bytes where {expected} were expected")

    def _receive_frame(self, frame: bytes) -> bytes:
        if self._phase is _Phase.MESSAGES:
            try:
                plaintext, _ = sodium.crypto_secretstream_xchacha20poly1305_pull(self._pull, frame)
            except (CryptoError, RuntimeError) as problem:
                raise RemoteProtocolError("message does not authenticate") from problem
            return plaintext
        if self._phase is _Phase.HANDSHAKE:
            self._noise.read(frame)
            self._advance_handshake()
        else:
            self._receive_header(frame)
        return b""

    def _advance_handshake(self) -> None:
        if self._noise.our_turn:
            self._to_send.append(_frame(self._noise.write()))
        if not self._noise.complete:
            return
        keys = self._noise.state.split()
        send_key, self._receive_key = keys if self.is_initiator else keys[::-1]
        self.handshake_hash = self._noise.state.h
        # init_pull with a given header leaves the same state as init_push would have with that header drawn at random.
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._push, self._header, send_key)
        self._to_send.append(_frame(stream_id(self.handshake_hash, self.is_initiator) + self._header))
        self._phase = _Phase.HEADER

    def _receive_header(self, frame: bytes) -> None:
        assert self.handshake_hash is not None
        if frame[:STREAM_ID_BYTES] != stream_id(self.handshake_hash, not self.is_initiator):
            raise RemoteProtocolError("the peer's stream id belongs to another handshake")
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._pull, frame[STREAM_ID_BYTES:], self._receive_key)
        self._receive_key = b""
        self._phase = _Phase.MESSAGES


def stream_id(handshake_hash: bytes, of_initiator: bool) -> bytes:
    """The 32-byte id that a side sends in its header frame."""
    label = INITIATOR_NAMESPACE if of_initiator else RESPONDER_NAMESPACE
    return hashlib.blake2b(label, digest_size=STREAM_ID_BYTES, key=handshake_hash).digest()


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(LENGTH_BYTES, "little") + payload
