"""Calls to a chain behind a WebSocket: each enters once, wherever the connection is cut, or its failure is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from node.chain.author import AuthoringMode
from node.client.chain import BlockRef
from node.client.errors import (
    SubmitFailed,
    SubmitFailure,
)
from node.client.remote import RemoteChain, open_remote
from node.client.signing import SignedCall
from node.client.submission import Submissions
from node.keys.derivation import keypair_from_uri
from node.txpool.pool import TransactionPool
from pallets.balances.events import Transfer
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import Token
from tests.node.chain.conftest import ALICE, BOB
from tests.node.client.served import PATIENT, served, transfer, transfers, wire_to, wired
from tests.node.rpc.conftest import RpcNode

CUT_POINTS = 20
"""More pieces than the node sends from connecting to the receipt."""


async def test_a_receipt_says_what_became_of_a_call(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url), open_remote(url) as chain:
        receipt = await chain.submit(transfer(7_000_000), ALICE, tip=5)
        assert Transfer(ALICE.account_id, BOB.account_id, 7_000_000) in receipt.events
        assert (receipt.error, receipt.block_hash, receipt.index) == (None, rpc.node.best.hash, 1)
        failed = await chain.submit(transfer(10**30), ALICE, finalized=True)
        assert isinstance(failed.error, Token)
        assert chain.error_text(failed.error) == "Token: Funds are unavailable."
        assert rpc.node.chain.finalized.number >= failed.block_number


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
async def test_every_scheme_signs(tmp_path: Path, scheme: Any) -> None:
    signer = keypair_from_uri("//Erin", scheme)
    gift = RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(signer.account_id), "value": 10**12})
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        await chain.submit(gift, ALICE)
        assert (await chain.submit(transfer(), signer)).error is None


async def test_many_submit_at_once_and_each_gets_its_own_nonce(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url), open_remote(url) as chain:

        async def submit(value: int) -> None:
            receipt = await chain.submit(transfer(value), ALICE)
            assert Transfer(ALICE.account_id, BOB.account_id, value) in receipt.events

        async with trio.open_nursery() as nursery:
            for value in range(1_000, 1_006):
                nursery.start_soon(submit, value)
        assert sorted(transfers(rpc)) == list(range(1_000, 1_006))
        assert chain._submissions._accounts == {}


async def test_a_call_that_the_pool_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        with pytest.raises(SubmitFailed, match="Inability to pay some fees") as refused:
            await chain.submit(transfer(), keypair_from_uri("//Pauper"))
        assert refused.value.kind is SubmitFailure.REFUSED


async def test_a_call_that_waits_too_long_is_of_unknown_fate(tmp_path: Path) -> None:
    async with served(tmp_path, AuthoringMode.MANUAL) as (_, url), open_remote(url) as chain:
        with pytest.raises(SubmitFailed, match="may still come") as late:
            await chain.submit(transfer(), ALICE, timeout_seconds=0.2)
        assert late.value.kind is SubmitFailure.UNKNOWN


async def submitted(chain: RemoteChain, rpc: RpcNode, nursery: trio.Nursery, outcome: list[Any]) -> bytes:
    """Submits in the background; the hash once it is in the pool."""

    async def submit() -> None:
        try:
            outcome.append(await chain.submit(transfer(), ALICE))
        except SubmitFailed as error:
            outcome.append(error)

    nursery.start_soon(submit)
    while not rpc.node.pool.transactions():
        await trio.lowlevel.checkpoint()
    return rpc.node.pool.transactions()[0].hash


async def test_a_call_that_is_replaced_is_usurped(tmp_path: Path) -> None:
    outcome: list[Any] = []
    async with served(tmp_path, AuthoringMode.MANUAL) as (rpc, url), open_remote(url) as chain:
        async with trio.open_nursery() as nursery:
            await submitted(chain, rpc, nursery, outcome)
            rpc.node.transactions.submit(rpc.node.transfer(ALICE, BOB, nonce=0, tip=10**6))
        assert outcome[0].kind is SubmitFailure.USURPED


async def test_a_call_that_the_node_forgot_is_sent_again_and_enters_once(tmp_path: Path) -> None:
    outcome: list[Any] = []
    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        async with trio.open_nursery() as nursery:
            call_hash = await submitted(chain, rpc, nursery, outcome)
            rpc.node.transactions.pool = rpc.node.pool = TransactionPool()
            await wire.cut()
            while call_hash not in rpc.node.pool:
                await trio.lowlevel.checkpoint()
            await rpc.author()
        assert outcome[0].error is None
        assert transfers(rpc) == [1_000_000]


async def test_new_calls_leave_the_nonces_of_calls_whose_fate_is_open(tmp_path: Path) -> None:
    outcome: list[Any] = []

    async def submit(value: int) -> None:
        outcome.append(await chain.submit(transfer(value), ALICE))

    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        async with trio.open_nursery() as nursery:
            for value in (1_001, 1_002, 1_003):
                nursery.start_soon(submit, value)
            while len(rpc.node.pool) < 3:
                await trio.lowlevel.checkpoint()
            wire.port, port = 1, wire.port
            await wire.cut()
            rpc.node.transactions.pool = rpc.node.pool = TransactionPool()
            for value in (1_004, 1_005):
                nursery.start_soon(submit, value)
            wire.port = port
            while len(rpc.node.pool) < 5:
                await trio.lowlevel.checkpoint()
            await rpc.author()
        assert all(receipt.error is None for receipt in outcome)
        assert sorted(transfers(rpc)) == [1_001, 1_002, 1_003, 1_004, 1_005]


async def test_a_call_that_is_refused_because_it_is_in_a_block_is_found_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Submissions._find
    looked: list[BlockRef | None] = []

    async def too_early(self: Submissions, signed: SignedCall) -> BlockRef | None:
        looked.append(await find(self, signed) if looked else None)
        return looked[-1]

    monkeypatch.setattr(Submissions, "_find", too_early)
    outcome: list[Any] = []
    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        async with trio.open_nursery() as nursery:
            await submitted(chain, rpc, nursery, outcome)
            wire.port, port = 1, wire.port
            await wire.cut()
            await rpc.author()
            wire.port = port
        assert outcome[0].error is None
        assert len(looked) == 3
        assert transfers(rpc) == [1_000_000]


async def test_a_call_whose_era_is_over_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.submission.ERA_BLOCKS", 4)
    outcome: list[Any] = []
    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        async with trio.open_nursery() as nursery:
            call_hash = await submitted(chain, rpc, nursery, outcome)
            wire.port, port = 1, wire.port
            await wire.cut()
            rpc.node.transactions.remove_invalid([call_hash])
            await rpc.author(6)
            wire.port = port
        assert outcome[0].kind is SubmitFailure.EXPIRED
        assert transfers(rpc) == []


@pytest.mark.parametrize("passes_last", [False, True], ids=["answer lost", "answer told"])
async def test_a_call_enters_exactly_once_wherever_the_connection_is_cut(tmp_path: Path, passes_last: bool) -> None:
    async with served(tmp_path) as (rpc, url), wire_to(url) as wire:
        cuts = 0
        for point in range(CUT_POINTS):
            async with open_remote(wire.url, backoff=PATIENT) as chain:
                wire.cut_after, wire.passes_last, before = point, passes_last, wire.connections
                receipt = await chain.submit(transfer(1_000 + point), ALICE, finalized=point % 4 == 1)
                assert Transfer(ALICE.account_id, BOB.account_id, 1_000 + point) in receipt.events
                cuts += wire.connections - before
                wire.cut_after = None
        assert transfers(rpc) == list(range(1_000, 1_000 + CUT_POINTS))
        assert cuts >= 10


async def test_a_call_enters_once_over_connections_that_each_live_a_little_longer(tmp_path: Path) -> None:
    async with wired(tmp_path) as (rpc, wire, chain):
        wire.lifetimes = iter(range(1, 40))
        await wire.cut()
        receipt = await chain.submit(transfer(), ALICE)
        assert Transfer(ALICE.account_id, BOB.account_id, 1_000_000) in receipt.events
        assert wire.connections > 8
        assert transfers(rpc) == [1_000_000]
