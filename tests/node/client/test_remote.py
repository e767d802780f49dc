"""A chain behind a WebSocket: reads, events and calls, with the connection cut at every point."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio

from node.chain.author import AuthoringMode
from node.client.chain import BlockEvents, BlockRef, Retracted
from node.client.errors import (
    ClientError,
    ConnectionLost,
    HistoryPruned,
    NotSupported,
    RemoteError,
    SubmitFailed,
    SubmitFailure,
    UnknownBlock,
    WrongChain,
)
from node.client.link import Backoff
from node.client.remote import RemoteChain, open_remote
from node.client.signing import SignedCall
from node.client.submission import Submissions
from node.keys.derivation import keypair_from_uri
from node.txpool.pool import TransactionPool
from pallets.balances.events import Transfer
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import Token
from tests.node.chain.conftest import ALICE, AUTHORITIES, BOB, SLOT_MS, Node
from tests.node.client.served import PATIENT, served, wire_to, wired
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcNode

CUT_POINTS = 20
"""More pieces than the node sends from connecting to the receipt."""


def transfer(value: int = 1_000_000) -> RuntimeCall:
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(BOB.account_id), "value": value})


def transfers(rpc: RpcNode) -> list[int]:
    """What went to Bob, over the whole chain, as its bodies say."""
    node, found = rpc.node, []
    for number in range(1, node.best.number + 1):
        for extrinsic in node.store.body(node.store.hash_at(number) or b"") or ():
            call = node.runtime.extrinsic_codec.decode(extrinsic).call
            if call.function == "transfer_keep_alive":
                found.append(call.arguments["value"])
    return found


async def blocks_until(
    events: AsyncGenerator[BlockEvents | Retracted, None], number: int
) -> list[BlockEvents | Retracted]:
    found: list[BlockEvents | Retracted] = []
    async for block in events:
        found.append(block)
        if isinstance(block, BlockEvents) and block.number == number:
            break
    return found


async def first(chain: RemoteChain, start: int | bytes) -> BlockEvents | Retracted:
    """The first block told from a start on."""
    async with aclosing(chain.events(start)) as events:
        return await anext(events)


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


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1", "ws://", "wss://127.0.0.1:1"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(RemoteError, match="is not a ws:// URL"):
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
        rpc.node.runtime.version = dataclasses.replace(rpc.node.runtime.version, spec_version=77)
        await wire.cut()
        assert await chain.query("System", "Number") == 1
        assert chain.version.spec_version == 77
        assert await chain.refresh() is not before
        assert (await chain.submit(transfer(), ALICE)).error is None


# --- calls


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


# --- events


async def test_events_are_replayed_and_then_followed(tmp_path: Path) -> None:
    async with served(tmp_path) as (rpc, url), open_remote(url) as chain, open_remote(url) as other:
        await other.submit(transfer(), ALICE)
        first = rpc.node.store.hash_at(1)
        assert first is not None
        for start in (1, first):
            async with aclosing(chain.events(start)) as events:
                told = await blocks_until(events, 2)
                receipt = await other.submit(transfer(), ALICE)
                told += await blocks_until(events, receipt.block_number)
                assert [block.number for block in told] == list(range(1, receipt.block_number + 1))
                assert [block.hash for block in told] == [rpc.node.store.hash_at(block.number) for block in told]
                assert isinstance(told[-1], BlockEvents)
                assert told[-1].of_extrinsic(receipt.index) == receipt.events


async def test_without_a_start_events_begin_with_the_next_block(tmp_path: Path) -> None:
    async with served(tmp_path, AuthoringMode.MANUAL) as (rpc, url), open_remote(url) as chain:
        await rpc.author(2)
        async with aclosing(chain.events()) as events, trio.open_nursery() as nursery:

            async def make_blocks() -> None:
                while True:
                    await rpc.author()
                    await trio.sleep(0.01)

            nursery.start_soon(make_blocks)
            block = await anext(events)
            assert block.number >= 4
            nursery.cancel_scope.cancel()


async def test_history_that_is_pruned_names_what_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path, AuthoringMode.MANUAL) as (rpc, url), open_remote(url) as chain:
        await rpc.author(10 * WINDOW_BLOCKS)
        with pytest.raises(HistoryPruned, match=r"this node keeps the states of blocks \d+ to \d+"):
            await first(chain, 1)
        kept = rpc.node.best.number - 1
        assert (await first(chain, kept)).number == kept


@pytest.mark.parametrize("start", [-1, bytes(32), b"short"])
async def test_a_start_that_is_not_on_the_chain_is_refused(tmp_path: Path, start: Any) -> None:
    async with served(tmp_path) as (_, url), open_remote(url) as chain:
        with pytest.raises(ClientError):
            await first(chain, start)


@pytest.mark.parametrize("finalized", [False, True])
async def test_events_have_no_gap_and_no_repetition_through_cuts(tmp_path: Path, finalized: bool) -> None:
    last = 12
    async with wired(tmp_path, AuthoringMode.MANUAL) as (rpc, wire, chain):
        told: list[int] = []
        async with trio.open_nursery() as nursery:

            async def follow() -> None:
                async with aclosing(chain.events(1, finalized=finalized)) as events:
                    async for block in events:
                        told.append(block.number)
                        if block.number == last:
                            nursery.cancel_scope.cancel()

            nursery.start_soon(follow)
            for number in range(2, last + 1):
                await wire.cut()
                await rpc.author()
                while not told or told[-1] < number - 1:
                    await trio.lowlevel.checkpoint()
        assert told == list(range(1, last + 1))


async def test_a_reorganisation_is_told_as_retracted_blocks(tmp_path: Path) -> None:
    async with served(tmp_path / "a", AuthoringMode.MANUAL, AUTHORITIES) as (rpc, url), open_remote(url) as chain:
        other = Node(tmp_path / "b", rpc.clock, spec=rpc.spec)
        await other.receive(rpc.node.block(rpc.node.best.hash))
        async with aclosing(chain.events(1)) as events:
            await rpc.author()
            old = await blocks_until(events, 2)
            fork = []
            for _ in range(2):
                rpc.clock.time_ms += SLOT_MS
                header = await other.author.author_block()
                assert header is not None
                fork.append(header)
                await rpc.node.receive(other.block(header.hash))
            assert rpc.node.best.hash == fork[-1].hash
            told = await blocks_until(events, 3)
        assert told[0] == Retracted(2, old[1].hash)
        assert [block.hash for block in told[1:]] == [header.hash for header in fork]
        other.store.close()
