"""Cores with several signers: each language signs its part, either puts the parts together, the other one verifies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from hypercore.crypto import KeyPair
from hypercore.errors import InvalidSignature
from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from hypercore.manifest import Manifest, PartialSignature, Signer
from hypercore.quorum import SignaturePart
from tests.interop.hypercore.test_replication import PATIENCE_SECONDS, SCRIPTS, python_writer
from tests.interop.node import Script, run_script

SEEDS = [bytes([number]) * 32 for number in (1, 2, 3)]
PAIRS = [KeyPair.from_seed(seed) for seed in SEEDS]
BLOCKS = ["one", "two", "three"]

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]


def rules(quorum: int, user_data: bytes | None) -> tuple[Manifest, str]:
    """The same rules for both languages."""
    manifest = Manifest.create([Signer(pair.public_key) for pair in PAIRS], quorum=quorum, user_data=user_data)
    described: dict[str, Any] = {"quorum": quorum, "signers": [pair.public_key.hex() for pair in PAIRS]}
    if user_data:
        described["userData"] = user_data.hex()
    return manifest, json.dumps(described)


def own_copy(manifest: Manifest, signer: int) -> Core:
    core = Core.create(key_pair=PAIRS[signer], manifest=manifest)
    core.append([text.encode() for text in BLOCKS])
    return core


@asynccontextmanager
async def javascript_part(signer: int, manifest: Manifest, described: str) -> AsyncIterator[tuple[Script, str]]:
    """A JavaScript signer with its own copy, and its signature of it."""
    async with run_script(SCRIPTS / "signer.mjs", [SEEDS[signer].hex(), described]) as script:
        assert await script.line() == {"key": manifest.key().hex()}
        await script.write(append=BLOCKS)
        result = await script.line()
        assert result["length"] == len(BLOCKS)
        yield script, result["signature"]


def as_part(core: Core, signer: int, signature: str) -> SignaturePart:
    return SignaturePart(core.length, core.fork, PartialSignature(signer, bytes.fromhex(signature), 0))


@pytest.mark.parametrize("user_data", [None, b"of the manifest"], ids=["version 1", "version 2"])
async def test_javascript_publishes_what_both_signed_and_python_reads_it(user_data: bytes | None) -> None:
    manifest, described = rules(2, user_data)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_part(0, manifest, described) as (script, signature):
            ours = own_copy(manifest, 2).signature_part().part
            parts = [{"signer": 0, "signature": signature}, {"signer": 2, "signature": ours.signature.hex()}]
            await script.write(assemble=parts)
            assembled = (await script.line())["signature"]
            await script.write(publish=BLOCKS, signature=assembled)
            port = (await script.line())["port"]
            reader = Core.open(key=manifest.key())
            async with open_replication() as replication:
                replication.add(reader)
                await replication.connect("127.0.0.1", port)
                await replication.update(reader, 3)
                await replication.download(reader)
            assert [reader.get(index).decode() for index in range(3)] == BLOCKS
            assert reader.manifest == manifest


@pytest.mark.parametrize("user_data", [None, b"of the manifest"], ids=["version 1", "version 2"])
async def test_python_publishes_what_both_signed_and_javascript_reads_it(user_data: bytes | None) -> None:
    manifest, described = rules(2, user_data)
    core = own_copy(manifest, 1)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_part(0, manifest, described) as (script, signature):
            parts = [as_part(core, 0, signature), core.signature_part()]
            assembled = core.assemble_signature(parts)
            await script.write(
                assemble=[{"signer": part.part.signer, "signature": part.part.signature.hex()} for part in parts]
            )
            assert (await script.line())["signature"] == assembled.hex()
        core.install_signature(assembled)
        async with python_writer(core) as where, run_script(SCRIPTS / "reader.mjs", where) as reader:
            result = await reader.line()
    assert (result["length"], result["bytes"]) == (3, 11)


async def test_python_reads_nothing_that_only_one_of_two_signed() -> None:
    manifest, described = rules(2, None)
    core = own_copy(manifest, 1)
    with trio.fail_after(PATIENCE_SECONDS):
        async with javascript_part(0, manifest, described) as (_, signature):
            with pytest.raises(InvalidSignature):
                core.install_signature(bytes.fromhex(signature))
            assert not core.signed


async def test_a_quorum_of_one_needs_no_assembly_in_either_language() -> None:
    manifest, _ = rules(1, None)
    core = own_copy(manifest, 1)
    with trio.fail_after(PATIENCE_SECONDS):
        async with python_writer(core) as where, run_script(SCRIPTS / "reader.mjs", where) as reader:
            assert (await reader.line())["length"] == 3
