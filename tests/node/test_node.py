"""A whole node in the test's own process: it starts, includes calls, restarts from disk, and refuses clearly."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from hypercore.crypto import KeyPair
from node.client.chain_api import ChainAPI
from node.client.connection import open_connection
from node.client.errors import CallRefused, SubmitFailed
from node.client.local_connection import LocalConnection
from node.config import NodeConfig, StartRefused
from node.devnet.chain_file import development_spec
from node.exceptions import first_of
from node.keys.derivation import keypair_from_uri
from node.net.addresses import AddressRecord
from node.net.identity import peer_id_of
from node.node import Node, open_node
from node.roles.identity import ProviderIdentity
from pallets.balances.events import Transfer
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import ModuleError

ALICE, BOB = keypair_from_uri("//Alice"), keypair_from_uri("//Bob")
SPEC = development_spec(1, 0, block_time_seconds=1.0, name="DatDot Test", chain_type="Development")


def config(path: Path) -> NodeConfig:
    return NodeConfig(SPEC, path, validator=ALICE, blocks="instant")


@asynccontextmanager
async def running(chosen: NodeConfig) -> AsyncIterator[Node]:
    with trio.fail_after(30):
        async with open_node(chosen) as node:
            yield node


async def refusal(chosen: NodeConfig) -> str:
    """The sentence with which a node refuses to start."""
    try:
        async with running(chosen):
            pytest.fail("the node started")
    except Exception as error:
        refused = first_of(error, (StartRefused,))
        if refused is None:
            raise
        return str(refused)


def transfer(value: int) -> RuntimeCall:
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(BOB.account_id), "value": value})


async def test_calls_of_one_signer_that_are_sent_at_once_are_all_included(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as node:
        receipts = []

        async def send(value: int) -> None:
            receipts.append(await node.api.submit(transfer(value), ALICE))

        async with trio.open_nursery() as nursery:
            for value in range(1, 6):
                nursery.start_soon(send, value * 1_000)
        moved = [event.amount for receipt in receipts for event in receipt.events if isinstance(event, Transfer)]
        assert sorted(moved) == [1_000, 2_000, 3_000, 4_000, 5_000]
        assert node.api.query("System", "Account", ALICE.account_id).nonce == 5
        assert all(receipt.error is None for receipt in receipts)


async def test_addresses_of_users_are_kept_when_strangers_bring_too_many(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as node:
        book, identity = node.network.address_book, ProviderIdentity.of(ALICE)
        proofs = identity.key_proofs(node.api.genesis_hash)
        await ChainAPI(LocalConnection(node.api), ALICE).new_user(identity.noise_key, identity.signing_key, proofs)
        seeds = [identity.noise_seed, *(number.to_bytes(32, "big") for number in range(2))]
        book._max_records = len(book) + 2
        for one in seeds:
            book.add(AddressRecord.create(one, node.api.genesis_hash, addresses=(), sequence=1), "peer")
        assert book.lookup(identity.noise_key) is not None


async def test_a_failing_call_is_in_a_block_with_its_error(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as node:
        receipt = await node.api.submit(RuntimeCall("DatDot", "start_plan", {"plan": 1}), ALICE)
        assert receipt.error is not None
        unknown = RuntimeCall("DatDot", "register_for_work", {"form": None, "components": None, "roles": ()})
        with pytest.raises((SubmitFailed, Exception)) as failure:
            await node.api.submit(unknown, ALICE)
        assert not isinstance(failure.value, ModuleError)
        poor = keypair_from_uri("//Nobody")
        with pytest.raises(SubmitFailed, match="does not exist"):
            await node.api.submit(transfer(1_000), poor)


async def test_a_restarted_node_goes_on_where_it_was(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as node:
        receipt = await node.api.submit(transfer(7_000), ALICE)
        before = node.api.query("System", "Account", BOB.account_id).data.free
    async with running(config(tmp_path)) as node:
        assert node.chain.store.hash_at(receipt.block_number) == receipt.block_hash
        assert node.api.query("System", "Account", BOB.account_id).data.free == before
        assert (await node.api.submit(transfer(1_000), ALICE)).block_number == receipt.block_number + 1


async def test_a_development_chain_is_in_its_users_hand_and_keeps_its_time(tmp_path: Path) -> None:
    manual = replace(config(tmp_path), blocks="manual")
    year_2040_ms = 2_208_988_800_000
    async with running(manual) as node, open_connection(node.rpc_url) as connection:
        await connection.call("dev_timeTravel", year_2040_ms)
        made = await connection.call("dev_newBlock", {"count": 2})
        assert await connection.call("chain_getBlockHash") == made
        await connection.call("dev_setStorage", [["0x1234", "0x56"]])
        assert node.api.query("Timestamp", "Now") >= year_2040_ms
    async with running(manual) as node, open_connection(node.rpc_url) as connection:
        assert await connection.call("state_getStorage", "0x1234") == "0x56"
        await connection.call("dev_newBlock")
        assert year_2040_ms < node.api.query("Timestamp", "Now") < year_2040_ms + 60_000


async def test_other_chains_want_the_token_and_have_no_such_methods(tmp_path: Path) -> None:
    spec = development_spec(1, 0, block_time_seconds=1.0, name="DatDot Test")
    async with running(replace(config(tmp_path), spec=spec)) as node, open_connection(node.rpc_url) as connection:
        methods = (await connection.call("rpc_methods"))["methods"]
        assert not [name for name in methods if name.startswith(("dev_", "grandpa_"))]
        with pytest.raises(CallRefused, match="unsafe to be called"):
            await connection.call("author_rotateKeys")
        token = (tmp_path / "rpc.token").read_text().strip()
        assert await posted(node.rpc_port, "author_rotateKeys", token) is not None
        assert await posted(node.rpc_port, "author_rotateKeys", "0" * 64) is None
    assert len(list((tmp_path / "keystore").iterdir())) == 1


async def posted(port: int, method: str, token: str) -> Any:
    """The result of a call with a token, over plain HTTP."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode()
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b"".join([data async for data in stream])
    return json.loads(answer.partition(b"\r\n\r\n")[2]).get("result")


async def test_a_second_node_catches_up_and_passes_transactions_on(tmp_path: Path) -> None:
    async with running(config(tmp_path / "a")) as author:
        first = await author.api.submit(transfer(7_000), ALICE)
        follower = NodeConfig(SPEC, tmp_path / "b", bootnodes=tuple(author.network.host.addresses))
        async with running(follower) as node:
            async with aclosing(node.api.blocks()) as blocks:
                async for block in blocks:
                    if block.number >= first.block_number:
                        break
            assert node.chain.best.hash == author.chain.best.hash
            receipt = await node.api.submit(transfer(1_000), BOB)
            assert receipt.error is None
            assert author.chain.store.hash_at(receipt.block_number) == receipt.block_hash


async def test_a_directory_has_one_node_at_a_time(tmp_path: Path) -> None:
    async with running(config(tmp_path)):
        assert "locked" in await refusal(config(tmp_path)) or "in use" in await refusal(config(tmp_path))


async def test_a_directory_of_another_chain_is_refused(tmp_path: Path) -> None:
    async with running(config(tmp_path)):
        pass
    other = development_spec(2, 0, block_time_seconds=1.0, name="DatDot Test")
    assert "another chain" in await refusal(replace(config(tmp_path), spec=other))


async def test_another_version_of_the_runtime_follows_its_old_directory_but_does_not_author(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("node.runtime_source.consensus_source_digest", lambda reference: bytes(32))
        async with running(config(tmp_path)) as node:
            receipt = await node.api.submit(transfer(7_000), ALICE)
    async with running(config(tmp_path)) as node:
        assert node.chain.best.hash == receipt.block_hash
        assert await node.author.author_block() is None


async def test_nodes_that_share_a_bootnode_find_each_other(tmp_path: Path) -> None:
    seed = bytes([7]) * 32
    awaited = peer_id_of(KeyPair.from_seed(seed).public_key)
    async with running(config(tmp_path / "a")) as first:
        addresses = tuple(first.network.host.addresses)
        async with running(NodeConfig(SPEC, tmp_path / "b", bootnodes=addresses)) as second:
            met = trio.Event()
            second.network.host.on_connected(lambda peer_id: met.set() if peer_id == awaited else None)
            async with running(NodeConfig(SPEC, tmp_path / "c", bootnodes=addresses, network_seed=seed)):
                await met.wait()
                assert awaited in second.network.host.connected_peers


async def test_ports_in_use_are_refused_with_the_option_that_chooses_another(tmp_path: Path) -> None:
    async with running(config(tmp_path / "a")) as node:
        assert "--rpc-port" in await refusal(replace(config(tmp_path / "b"), rpc_port=node.rpc_port))
        p2p_port = int(node.network.host.addresses[0].split("/")[4])
        assert "--port" in await refusal(replace(config(tmp_path / "c"), p2p_port=p2p_port))


@pytest.mark.parametrize("bootnode", ["nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/12D3nonsense"])
async def test_a_bootnode_that_names_no_peer_is_refused(tmp_path: Path, bootnode: str) -> None:
    assert "--bootnode" in await refusal(replace(config(tmp_path), bootnodes=(bootnode,)))


async def test_a_validator_key_that_cannot_seal_is_refused(tmp_path: Path) -> None:
    ed25519 = keypair_from_uri("//Alice", "ed25519")
    assert "sr25519" in await refusal(replace(config(tmp_path), validator=ed25519))


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://polkadot.js.org", b"200"), ("http://localhost:3000", b"200"), ("https://x.example", b"403")],
)
async def test_the_hosted_explorer_may_talk_to_a_node_and_other_pages_may_not(
    tmp_path: Path, origin: str, status: bytes
) -> None:
    async with running(config(tmp_path)) as node, await trio.open_tcp_stream("127.0.0.1", node.rpc_port) as stream:
        await stream.send_all(f"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n".encode())
        assert (await stream.receive_some()).split()[1] == status
