"""The secret stream against golden bytes of the JavaScript implementation, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings as sodium

from hypercore.crypto import KeyPair
from hypercore.errors import LocalProtocolError, RemoteProtocolError
from hypercore.secret_stream import (
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    MAX_MESSAGE_BYTES,
    NoiseXX,
    SecretStream,
    diffie_hellman,
    stream_id,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "hypercore"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


XX = next(case for case in load("10_noise.json")["cases"] if case["pattern"] == "XX")
SEEDS = {name: bytes.fromhex(seed) for name, seed in XX["seeds"].items()}


def pair(name: str) -> KeyPair:
    return KeyPair.from_seed(SEEDS[name])


def make_end(is_initiator: bool, header: bytes) -> SecretStream:
    letter = "I" if is_initiator else "R"
    return SecretStream(
        is_initiator=is_initiator, static=pair(f"static{letter}"), ephemeral=pair(f"ephemeral{letter}"), header=header
    )


def make_ends() -> tuple[SecretStream, SecretStream]:
    return make_end(True, b"\xa0" * HEADER_BYTES), make_end(False, b"\xb0" * HEADER_BYTES)


def connect(left: SecretStream, right: SecretStream) -> None:
    for _ in range(3):
        right.receive_bytes(left.data_to_send())
        left.receive_bytes(right.data_to_send())


def test_diffie_hellman_gives_the_golden_shared_secrets() -> None:
    shared = {name: bytes.fromhex(value) for name, value in XX["dh"].items()}
    assert diffie_hellman(pair("ephemeralI"), pair("ephemeralR").public_key) == shared["ee"]
    assert diffie_hellman(pair("ephemeralI"), pair("staticR").public_key) == shared["es"]
    assert diffie_hellman(pair("staticI"), pair("ephemeralR").public_key) == shared["se"]
    assert diffie_hellman(pair("staticR"), pair("staticI").public_key) == shared["ss"]


@pytest.mark.parametrize(
    "point",
    [
        bytes(32),
        b"\x01" + bytes(31),
        b"\xff" * 32,
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ],
)
def test_diffie_hellman_refuses_points_of_low_order_and_bytes_that_are_no_point(point: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        diffie_hellman(pair("staticI"), point)


def test_every_handshake_message_and_transcript_hash_is_golden() -> None:
    initiator = NoiseXX(True, pair("staticI"), pair("ephemeralI"))
    responder = NoiseXX(False, pair("staticR"), pair("ephemeralR"))
    assert initiator.state.h.hex() == XX["h0"]
    for expected in XX["messages"]:
        writer, reader = (initiator, responder) if expected["from"] == "initiator" else (responder, initiator)
        assert writer.our_turn
        assert not reader.our_turn
        assert writer.expected_bytes == expected["bytes"]
        message = writer.write()
        reader.read(message)
        assert message.hex() == expected["hex"]
        for side in (writer, reader):
            assert side.state.h.hex() == (expected["hAfter"] or XX["handshakeHash"])
            assert expected["ckAfter"] in (side.state.ck.hex(), None)
    assert initiator.complete
    assert responder.complete
    assert [key.hex() for key in initiator.state.split()] == [XX["initiatorTx"], XX["initiatorRx"]]
    assert initiator.remote_static_key == pair("staticR").public_key
    assert responder.remote_static_key == pair("staticI").public_key


def test_stream_ids_and_handshake_hash_are_golden() -> None:
    left, right = make_ends()
    connect(left, right)
    assert left.handshake_hash is not None
    assert left.handshake_hash.hex() == XX["handshakeHash"]
    assert right.handshake_hash == left.handshake_hash
    assert stream_id(left.handshake_hash, True).hex() == XX["streamIdInitiator"]
    assert stream_id(left.handshake_hash, False).hex() == XX["streamIdResponder"]
    assert left.remote_public_key == pair("staticR").public_key
    assert right.remote_public_key == pair("staticI").public_key


def transcripts() -> list[str]:
    names = sorted(path.name for path in VECTORS.glob("13_transcript_*.json"))
    return [name for name in names if load(name).get("rawInitiatorToResponder")]


@pytest.mark.parametrize("name", transcripts())
def test_recorded_sessions_decrypt_and_encrypt_to_the_same_raw_bytes(name: str) -> None:
    transcript = load(name)
    raw = {
        True: bytes.fromhex(transcript["rawInitiatorToResponder"]),
        False: bytes.fromhex(transcript["rawResponderToInitiator"]),
    }
    ends = {side: make_end(side, find_header(data, side)) for side, data in raw.items()}
    sent = {side: bytearray() for side in ends}
    for _ in range(3):
        for side, end in ends.items():
            data = end.data_to_send()
            sent[side] += data
            assert ends[not side].receive_bytes(data) == []
    for side, end in ends.items():
        handshake_size = len(sent[side])
        assert raw[side][:handshake_size] == bytes(sent[side])
        plaintexts = ends[not side].receive_bytes(raw[side][handshake_size:])
        assert plaintexts
        for plaintext in plaintexts:
            sent[side] += end.send(plaintext)
        assert bytes(sent[side]) == raw[side]


def find_header(data: bytes, is_initiator: bool) -> bytes:
    """The 24 random bytes of a recorded header frame, which follows that side's handshake messages."""
    start = (3 + 32 + 3 + 64 if is_initiator else 3 + 96) + 3 + 32
    return data[start : start + HEADER_BYTES]


def test_messages_are_golden_and_keep_alives_are_dropped() -> None:
    vector = load("11_secretstream.json")
    key, header = bytes.fromhex(vector["key"]), bytes.fromhex(vector["header"])
    left, right = make_ends()
    connect(left, right)
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(left._push, header, key)
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(right._pull, header, key)
    for frame in vector["frames"]:
        plaintext = bytes.fromhex(frame["plain"])
        framed = left.send(plaintext)
        assert framed.hex() == frame["framed"]
        assert right.receive_bytes(framed) == ([plaintext] if plaintext else [])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_split_of_the_byte_stream_into_reads_does_not_matter(size: int) -> None:
    left, right = make_ends()
    connect(left, right)
    wire = b"".join([left.send(b"one"), left.keep_alive(), left.send(b"two" * 30), left.send(b"3")])
    messages = []
    for start in range(0, len(wire), size):
        messages += right.receive_bytes(wire[start : start + size])
    assert messages == [b"one", b"two" * 30, b"3"]


def test_sending_before_the_handshake_is_our_fault() -> None:
    left, _ = make_ends()
    with pytest.raises(LocalProtocolError, match="not complete"):
        left.send(b"early")
    assert left.remote_public_key is None


def test_a_message_above_the_frame_limit_is_our_fault() -> None:
    left, right = make_ends()
    connect(left, right)
    with pytest.raises(LocalProtocolError, match="exceeds"):
        left.send(bytes(MAX_MESSAGE_BYTES + 1))


def test_a_header_of_the_wrong_size_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError, match="24 bytes"):
        SecretStream(is_initiator=True, static=pair("staticI"), ephemeral=pair("ephemeralI"), header=bytes(23))


@pytest.mark.parametrize("size", [0, 31, 33, 96, MAX_FRAME_BYTES])
def test_a_first_handshake_frame_of_the_wrong_size_is_refused_before_it_is_read(size: int) -> None:
    _, right = make_ends()
    with pytest.raises(RemoteProtocolError, match="handshake frame"):
        right.receive_bytes(size.to_bytes(3, "little"))


@pytest.mark.parametrize("position", [3, 34, 35, 60, 83, 98])
def test_any_altered_byte_of_the_second_handshake_message_is_refused(position: int) -> None:
    left, right = make_ends()
    right.receive_bytes(left.data_to_send())
    message = bytearray(right.data_to_send())
    message[position] ^= 1
    with pytest.raises(RemoteProtocolError):
        left.receive_bytes(bytes(message))


@pytest.mark.parametrize("position", [3, 40, 50, 66])
def test_any_altered_byte_of_the_third_handshake_message_is_refused(position: int) -> None:
    left, right = make_ends()
    right.receive_bytes(left.data_to_send())
    left.receive_bytes(right.data_to_send())
    message = bytearray(left.data_to_send())
    message[position] ^= 1
    with pytest.raises(RemoteProtocolError):
        right.receive_bytes(bytes(message))


def test_a_stream_id_of_another_handshake_is_refused() -> None:
    left, right = make_ends()
    right.receive_bytes(left.data_to_send())
    left.receive_bytes(right.data_to_send())
    frames = bytearray(left.data_to_send())
    frames[3 + 64 + 3] ^= 1
    with pytest.raises(RemoteProtocolError, match="stream id"):
        right.receive_bytes(bytes(frames))


def test_our_own_stream_id_reflected_to_us_is_refused() -> None:
    left, right = make_ends()
    right.receive_bytes(left.data_to_send())
    left.receive_bytes(right.data_to_send())
    header_frame = left.data_to_send()[3 + 64 :]
    with pytest.raises(RemoteProtocolError, match="stream id"):
        left.receive_bytes(header_frame)


@pytest.mark.parametrize("position", [3, 10, 22])
def test_an_altered_message_is_refused(position: int) -> None:
    left, right = make_ends()
    connect(left, right)
    frame = bytearray(left.send(b"hello"))
    frame[position] ^= 1
    with pytest.raises(RemoteProtocolError, match="authenticate"):
        right.receive_bytes(bytes(frame))


def test_messages_in_another_order_are_refused() -> None:
    left, right = make_ends()
    connect(left, right)
    first, second = left.send(b"one"), left.send(b"two")
    with pytest.raises(RemoteProtocolError, match="authenticate"):
        right.receive_bytes(second + first)


def test_a_message_left_out_is_noticed_at_the_next() -> None:
    left, right = make_ends()
    connect(left, right)
    left.send(b"lost")
    with pytest.raises(RemoteProtocolError, match="authenticate"):
        right.receive_bytes(left.send(b"next"))


def test_a_replayed_message_is_refused() -> None:
    left, right = make_ends()
    connect(left, right)
    frame = left.send(b"hello")
    assert right.receive_bytes(frame) == [b"hello"]
    with pytest.raises(RemoteProtocolError, match="authenticate"):
        right.receive_bytes(frame)


@pytest.mark.parametrize("size", [0, 1, 16])
def test_a_frame_shorter_than_an_empty_message_is_refused(size: int) -> None:
    left, right = make_ends()
    connect(left, right)
    with pytest.raises(RemoteProtocolError, match="shorter"):
        right.receive_bytes(size.to_bytes(3, "little"))
