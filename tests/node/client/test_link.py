"""A link that replaces lost connections, against nodes that lose them, change under it, or talk nonsense."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from node.client.chain import BlockRef
from node.client.errors import BadAnswer, ClientError, ConnectionLost, WrongChain
from node.client.link import MAX_ATTEMPTS
from node.client.remote import RemoteChain, open_remote
from runtime.call import RuntimeCall
from tests.node.chain.conftest import ALICE
from tests.node.client.fake_node import GENESIS, GREETING, VERSION, Conversation, fake_node
from tests.node.client.served import PATIENT


async def test_a_read_is_asked_again_on_the_next_connection() -> None:
    async def script(node: Conversation) -> None:
        request = await node.greet()
        if node.number == 0:
            await node.text("garbage")
        await node.answer(request, "0x" + "07" * 2)
        await node.request()

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        assert await chain.storage(b"key") == b"\7\7"


async def test_a_read_over_which_every_connection_is_lost_is_given_up() -> None:
    asked = 0

    async def script(node: Conversation) -> None:
        nonlocal asked
        await node.greet()
        asked += 1

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        with pytest.raises(ConnectionLost, match=f"{MAX_ATTEMPTS} times"):
            await chain.storage(b"key")
    assert asked == MAX_ATTEMPTS


@pytest.mark.parametrize("method", ["chain_getBlockHash", "state_getRuntimeVersion", "state_getMetadata"])
@pytest.mark.parametrize("answer", [None, 5, "0xzz", [], {}, {"specName": 1}])
async def test_a_node_that_greets_badly_is_refused(method: str, answer: Any) -> None:
    async def script(node: Conversation) -> None:
        while True:
            request = await node.request()
            await node.answer(request, answer if request["method"] == method else GREETING[request["method"]])

    async with fake_node(script) as url:
        with pytest.raises(BadAnswer):
            async with open_remote(url):
                pass


@pytest.mark.parametrize("told", [None, 5, {}, {"specName": "x", "specVersion": "y", "transactionVersion": 1}])
async def test_a_runtime_version_that_is_none_ends_the_connection(told: Any) -> None:
    async def script(node: Conversation) -> None:
        request = await node.greet()
        if node.number == 0:
            await node.notify("version", told)
            await node.request()
        await node.answer(request, None)
        await node.request()

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        assert await chain.storage(b"key") is None


async def test_another_chain_at_the_same_address_is_not_the_same_chain() -> None:
    async def script(node: Conversation) -> None:
        while True:
            request = await node.request()
            is_genesis = request["method"] == "chain_getBlockHash" and node.number > 0
            if request["method"] not in GREETING:
                return
            await node.answer(request, "0x" + "22" * 32 if is_genesis else GREETING[request["method"]])

    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        for _ in range(2):
            with pytest.raises(WrongChain, match="follows chain 0x2222"):
                await chain.storage(b"key")


async def test_the_node_tells_of_a_new_runtime_and_its_metadata_are_fetched() -> None:
    fetched = 0

    async def script(node: Conversation) -> None:
        nonlocal fetched
        while True:
            request = await node.request()
            fetched += request["method"] == "state_getMetadata"
            await node.answer(request, GREETING.get(request["method"]))
            if request["method"] == "state_subscribeRuntimeVersion":
                await node.notify("version", {**VERSION, "specVersion": 2})

    async with fake_node(script) as url, open_remote(url) as chain:
        while chain.version.spec_version != 2:
            await chain.storage(b"key")
        assert fetched == 1
        assert chain.constant("DatDot", "ContractSetSize") == 10
        assert fetched == 1
        await chain.refresh()
        await chain.refresh()
        assert fetched == 2


# --- nonsense

REMARK = RuntimeCall("System", "remark", {"remark": b""})
NONSENSE: tuple[Any, ...] = (
    None, True, 5, "0xzz", "text", [], {}, [None], [5], ["0xzz"], {"number": "x"}, {"block": 1},
    {"inBlock": 1}, GENESIS,
)  # fmt: skip
OPERATIONS: dict[str, Callable[[RemoteChain], Awaitable[Any]]] = {
    "query": lambda chain: chain.query("System", "Account", bytes(32)),
    "query at": lambda chain: chain.query("System", "Account", bytes(32), at=bytes(32)),
    "entries": lambda chain: chain.entries("System", "Account", 10),
    "entries at": lambda chain: chain.entries("System", "Account", 10, bytes(32)),
    "head": lambda chain: chain.head(),
    "finalized head": lambda chain: chain.head(finalized=True),
    "hashes": lambda chain: chain.hashes([1, 2]),
    "body": lambda chain: chain.body(bytes(32)),
    "block": lambda chain: chain.block(BlockRef(1, bytes(32))),
    "submit": lambda chain: chain.submit(REMARK, ALICE, timeout_seconds=0.05),
    "events": lambda chain: first_of(chain),
}


async def first_of(chain: RemoteChain) -> Any:
    with trio.move_on_after(0.05):
        async with aclosing(chain.events(0)) as events:
            return await anext(events)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nonsense_gives_an_error_of_the_client_or_nothing(operation: str) -> None:
    answers: Iterator[Any] = iter(())

    async def script(node: Conversation) -> None:
        nonlocal answers
        request = await node.greet()
        while True:
            await node.answer(request, next(answers, None))
            request = await node.request()

    random = Random(operation)
    async with fake_node(script) as url, open_remote(url, backoff=PATIENT) as chain:
        for answer in NONSENSE:
            answers = iter([answer] * 100)
            with suppress(ClientError):
                await OPERATIONS[operation](chain)
        for _ in range(40):
            answers = iter(random.choices((*NONSENSE, {"number": "0x1", "parentHash": GENESIS}), k=100))
            with suppress(ClientError):
                await OPERATIONS[operation](chain)
