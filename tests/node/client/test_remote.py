"""A chain behind a WebSocket: what is read, what it lacks, coming and going, other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.client.errors import (
    ClientError,
    ConnectionLost,
    NotSupported,
    RemoteError,
    UnknownBlock,
    WrongChain,
)
from node.client.link import Backoff
from node.client.remote import open_remote
from pallets.chain import runtime_for
from runtime.call import RuntimeCall
from tests.node.chain.conftest import ALICE
from tests.node.client.served import served, transfer, wired

# --- reads


async def test_values_are_those_of_the_chain(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url), open_remote(url) as chain:
        account = await chain.query("System", "Account", ALICE.account_id)
        with rpc.node.runtime.at(rpc.node.store.state(rpc.node.best.hash)) as runtime:
            assert account == runtime.system.account.get(ALICE.account_id)  # type: ignore[attr-defined]
        assert chain.constant("DatDot", "ContractSetSize") == 10
        assert chain.genesis_hash == rpc.node.store.genesis_hash
        assert (await chain.head()).hash == rpc.node.best.hash
        assert (await chain.head(finalized=True)).hash == rpc.node.chain.finalized.hash
        everyone = await chain.entries("System", "Account", 1_000)
        assert ((ALICE.account_id,), account) in everyone
        assert len(await chain.entries("System", "Account", 2)) == 2


@pytest.mark.parametrize(
    ("work", "error", "part"),
    [
        (lambda chain: chain.query("Nope", "Item"), NotSupported, "no pallet Nope; it has System,"),
        (lambda chain: chain.query("DatDot", "Nope"), NotSupported, "stores no DatDot.Nope; DatDot stores NextItemID"),
        (lambda chain: chain.query("System", "Account"), ClientError, "takes 1 keys, 0 are given"),
        (lambda chain: chain.query("System", "Account", b"short"), ClientError, "the keys of System.Account"),
        (lambda chain: chain.query("System", "Number", at=bytes(32)), UnknownBlock, "0x" + "00" * 32),
        (lambda chain: chain.submit(RuntimeCall("DatDot", "nope", {}), ALICE), NotSupported, "no call DatDot.nope"),
        (lambda chain: chain.submit(RuntimeCall("Nope", "nope", {}), ALICE), NotSupported, "no pallet Nope"),
        (lambda chain: chain.submit(transfer(-1), ALICE), ClientError, "-1 is no Compact"),
        (
            lambda chain: chain.submit(RuntimeCall("System", "remark", {}), ALICE),
            ClientError,
            "the field remark is missing",
        ),
        (
            lambda chain: chain.submit(RuntimeCall("System", "remark", {"remark": b"", "more": 1}), ALICE),
            ClientError,
            "there is no field more; there are remark",
        ),
    ],
)
async def test_what_the_chain_lacks_is_named(tmp_path: Path, work: Any, error: type[ClientError], part: str) -> None:
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        with pytest.raises(error) as raised:
            await work(chain)
        assert part in str(raised.value)


async def test_a_constant_that_the_chain_lacks_is_named(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        with pytest.raises(NotSupported, match=r"no constant DatDot\.Nope; DatDot has PerformanceAttestorCount"):
            chain.constant("DatDot", "Nope")


# --- connecting


async def test_only_the_chain_that_was_asked_for_will_do(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url):
        async with open_remote(url, genesis_hash=rpc.node.store.genesis_hash) as chain:
            assert (await chain.head()).number == 1
        with pytest.raises(WrongChain, match="not 0x1111"):
            async with open_remote(url, genesis_hash=b"\x11" * 32):
                pass


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "127.0.0.1", "ws://", "wss://", "ws://127.0.0.1:port", "ws://127.0.0.1:70000", "ws://[1"]
)
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(RemoteError, match="is not a ws:// or wss:// URL"):
        async with open_remote(url):
            pass


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(ConnectionLost, match="no node answers at"):
        async with open_remote("ws://127.0.0.1:1"):
            pass


async def test_errors_of_the_block_of_code_come_out_as_they_are(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url):
        with pytest.raises(ZeroDivisionError):
            async with open_remote(url):
                raise ZeroDivisionError


async def test_a_node_that_stays_away_is_given_up(tmp_path: Path) -> None:
    impatient = Backoff(first_seconds=0.001, most_seconds=0.002, give_up_seconds=0.02)
    async with wired(tmp_path, backoff=impatient) as (_, wire, chain):
        wire.port = 1
        await wire.cut()
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await chain.query("System", "Number")


async def test_reads_survive_cuts(tmp_path: Path) -> None:
    async with wired(tmp_path) as (_, wire, chain):
        for _ in range(5):
            await wire.cut()
            assert await chain.query("System", "Number") == 1
        assert wire.connections == 6


# --- runtime versions


async def test_a_node_that_comes_back_with_another_runtime_is_read_by_its_metadata(tmp_path: Path) -> None:
    async with wired(tmp_path) as (rpc, wire, chain):
        before = await chain.refresh()
        newer = runtime_for(rpc.spec, source_digest=bytes([9]) * 32)
        newer.renumber(77)
        rpc.node.chain.offer_runtime(newer)
        set_code = RuntimeCall("System", "set_code", {"code": newer.code})
        assert (await chain.submit(RuntimeCall("Sudo", "sudo", {"call": set_code}), ALICE)).error is None
        await wire.cut()
        assert await chain.query("System", "Number") == rpc.node.best.number
        assert chain.version.spec_version == 77
        assert await chain.refresh() is not before
        assert (await chain.submit(transfer(), ALICE)).error is None
