"""Block encryption: equal to JavaScript's, and at a wall that keeps ciphertext in the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.crypto import KeyPair
from hypercore.encryption import PADDING_BYTES, BlockCipher, stream_xor
from hypercore.errors import BlockNotAvailable, CoreClosed, DecodeError, LocalProtocolError
from hypercore.io.core import MAXIMUM_BLOCK_BYTES, Core
from hypercore.io.corestore import Corestore
from hypercore.io.drive import Drive
from hypercore.io.log import Log
from hypercore.io.replication import open_replication

KEY = b"\x44" * 32
PATIENCE_SECONDS = 30


@pytest.mark.parametrize("number", [0, 1], ids=["manifest", "compat"])
def test_keys_and_blocks_are_those_of_javascript(vectors: Callable[[str], Any], number: int) -> None:
    case = vectors("14_block_encryption")[number]
    cipher = BlockCipher(bytes.fromhex(case["key"]), bytes.fromhex(case["encryptionKey"]), compat=case["compat"])
    assert (cipher.block_key.hex(), cipher.blinding_key.hex()) == (case["blockKey"], case["blindingKey"])
    for index, (plain, stored) in enumerate(zip(case["plain"], case["rawBlocks"], strict=True)):
        fork = case["fork"] if index == 2 else 0
        assert cipher.encrypt(index, fork, bytes.fromhex(plain)).hex() == stored
        assert cipher.decrypt(index, bytes.fromhex(stored)).hex() == plain


async def test_an_encrypted_log_holds_what_javascript_stores(vectors: Callable[[str], Any], key_pair: KeyPair) -> None:
    for case in vectors("14_block_encryption"):
        core = Core.create(key_pair=key_pair, compat=case["compat"])
        log = Log(core, encryption_key=KEY)
        plain = [bytes.fromhex(block) for block in case["plain"]]
        log.append([*plain[:2], b"goes away"])
        core.truncate(2)
        log.append(plain[2])
        assert [core.get(index).hex() for index in range(3)] == case["rawBlocks"]
        assert [await log.get(index) for index in range(3)] == plain
        assert log.byte_length == case["info"]["byteLength"]
        assert log.byte_offset(2) == 5


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_a_wrong_size_is_refused_before_anything_is_opened_or_made(size: int, tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match=f"32 bytes, got {size}"):
        Log.open(tmp_path / "log", encryption_key=bytes(size))
    assert not (tmp_path / "log").exists()
    with Core.create() as core, pytest.raises(LocalProtocolError, match=f"32 bytes, got {size}"):
        Log(core, encryption_key=bytes(size))
    store = Corestore()
    for refused in (
        lambda: store.get("name", encryption_key=bytes(size)),
        lambda: store.get("name", encryption_key=bytes(size), is_block_key=True),
        lambda: Drive(store, encryption_key=bytes(size)),
    ):
        with pytest.raises(LocalProtocolError, match=f"32 bytes, got {size}"):
            refused()
    assert store.cores() == []


def test_a_block_key_opens_what_the_encryption_key_sealed() -> None:
    whole = BlockCipher(bytes(32), KEY, compat=False)
    part = BlockCipher(bytes(32), whole.block_key, compat=False, is_block_key=True)
    assert part.decrypt(7, whole.encrypt(7, 3, b"content")) == b"content"


@settings(max_examples=40)
@given(data=st.binary(max_size=200), nonce=st.binary(min_size=24, max_size=24), key=st.binary(min_size=32, max_size=32))
def test_the_stream_is_its_own_inverse_and_a_prefix_of_longer_ones(data: bytes, nonce: bytes, key: bytes) -> None:
    sealed = stream_xor(data, nonce, key)
    assert stream_xor(sealed, nonce, key) == data
    assert stream_xor(data + bytes(50), nonce, key)[: len(data)] == sealed


async def test_a_wrong_key_gives_other_bytes_and_no_error() -> None:
    core = Core.create()
    Log(core, encryption_key=KEY).append(b"content")
    assert await Log(core, encryption_key=bytes(32)).get(0) != b"content"


def test_other_lengths_of_keys_and_unencrypted_blocks_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="has 32 bytes, got 31"):
        BlockCipher(bytes(32), bytes(31), compat=False)
    with pytest.raises(DecodeError, match="not encrypted"):
        BlockCipher(bytes(32), KEY, compat=False).decrypt(0, bytes(PADDING_BYTES - 1))


async def test_a_log_says_how_large_a_block_may_be() -> None:
    core = Core.create()
    assert Log(core).block_bytes_maximum == MAXIMUM_BLOCK_BYTES
    assert Log(core, encryption_key=KEY).block_bytes_maximum == MAXIMUM_BLOCK_BYTES - PADDING_BYTES


async def test_a_hoster_without_the_key_relays_what_a_reader_decrypts() -> None:
    writer = Core.create()
    Log(writer, encryption_key=KEY).append([b"secret %d" % index for index in range(20)])
    hoster, reader = Core.open(key=writer.key), Core.open(key=writer.key)
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as ours, open_replication() as theirs, open_replication() as last:
            ours.add(writer)
            theirs.add(hoster)
            await theirs.connect("127.0.0.1", await ours.listen())
            await theirs.update(hoster, 20)
            await theirs.download(hoster)
            assert not any(b"secret" in hoster.get(index) for index in range(20))
            log = Log(reader, encryption_key=KEY, replication=last)
            await last.connect("127.0.0.1", await theirs.listen())
            assert await log.update() == 20
            assert await log.get(7) == b"secret 7"
            assert [block async for block in log.blocks(0, 20)] == [b"secret %d" % index for index in range(20)]
            await log.download()
    assert reader.contiguous_length == 20


async def test_without_peers_a_missing_block_is_an_error_at_once() -> None:
    log = Log(Core.open(key=bytes(32)))
    with pytest.raises(BlockNotAvailable, match="no replication is attached"):
        await log.get(0)
    with pytest.raises(BlockNotAvailable):
        await log.download(0, 1)
    await log.fetch([0, 1])
    assert await log.update() == 0


async def test_a_closed_handle_refuses_and_leaves_the_core_open() -> None:
    core = Core.create()
    async with Log(core) as log:
        log.append(b"one")
    log.close()
    with pytest.raises(CoreClosed):
        await log.get(0)
    with pytest.raises(CoreClosed):
        log.append(b"two")
    assert core.get(0) == b"one"
