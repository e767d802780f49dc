"""Our node beside anvil and hardhat: transfers and reads through JSON-RPC, in interleaved rounds of one run.

    python -m benchmarks.ethereum [--transfers 3000] [--rounds 3]

All three get the same client: one kept-alive HTTP connection, transfers signed before, senders taking turns with
sequential nonces, each call waiting for its answer. A run ends when the chain has counted all transfers: in our node
the Transfer events of its blocks, in the others the recipient's balance. anvil makes a block a second as ours does;
hardhat makes one for every transaction, which is how it is run. anvil and hardhat come from npm (benchmarks/peers).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import trio

from benchmarks.client import HttpClient, RpcFailed, WebSocketClient, request, result_of
from benchmarks.figures import Figure, progress, show
from benchmarks.process import dev_process, free_port, stop
from benchmarks.rpc import ALICE_ACCOUNT, BATCH_CALLS, batched_calls_per_second, single_calls_per_second
from benchmarks.transfers import Market, over_http, submit_all
from node.keys.derivation import keypair_from_uri
from pallets.chain import runtime_for
from runtime.genesis import ChainSpec
from tests.interop import node

PEERS: Final = Path(__file__).resolve().parent / "peers"
RECIPIENT: Final = "0x" + "da" * 20
SENDERS: Final = 10
READS: Final = 2_000
START_SECONDS: Final = 60
END_SECONDS: Final = 120
LOOK_SECONDS: Final = 0.02


class Peer(ABC):
    """A running node that transfers can be counted in."""

    name: str
    read: tuple[str, ...]
    """The method and the parameters of a read of one account."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    async def transfers_per_second(self, count: int) -> float:
        """Signs transfers, then sends them and waits until the chain has counted them all."""

    async def reads_per_second(self) -> float:
        """One read after the other."""
        return await single_calls_per_second(await HttpClient.open(self.url), READS, *self.read)

    async def batched_reads_per_second(self) -> float:
        """Batches of reads, one after the other."""
        return await batched_calls_per_second(await HttpClient.open(self.url), 4 * READS, *self.read)


class Ours(Peer):
    """`datdot dev` with blocks of one second."""

    name = "datdot"
    read = ("state_getStorage", ALICE_ACCOUNT)

    def __init__(self, market: Market) -> None:
        super().__init__(market.url)
        self._market = market

    async def transfers_per_second(self, count: int) -> float:
        extrinsics = self._market.signed(count)
        client = await HttpClient.open(self.url)
        begin = trio.current_time()
        run = await submit_all(self._market, extrinsics, over_http(client, self._market), None)
        if len(run.included_at) < len(extrinsics):
            raise RpcFailed(f"{len(run.included_at)} of {len(extrinsics)} transfers were included")
        return len(extrinsics) / (max(run.included_at.values()) - begin)

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Ours]:
        """The node while the block of code runs, its senders funded."""
        async with dev_process() as dev, trio.open_nursery() as nursery:
            await dev.wait_for("ready")
            runtime = runtime_for(ChainSpec.parse((dev.directory / "chain.json").read_bytes()))
            client, looking = await HttpClient.open(dev.url), await HttpClient.open(dev.url)
            genesis_hash = bytes.fromhex((await client.call("chain_getBlockHash", 0))[2:])
            senders = [keypair_from_uri(f"//Alice//load//{number}") for number in range(SENDERS)]
            market = Market(dev.url, runtime, genesis_hash, senders)
            found, heads = trio.open_memory_channel[tuple[int, float]](1_000)

            def hear(head: Any) -> None:
                found.send_nowait((int(head["number"], 16), trio.current_time()))

            async with WebSocketClient.open(dev.url, hear) as watching:
                await watching.call("chain_subscribeNewHeads")
                nursery.start_soon(market.follow, looking, heads)
                await submit_all(market, market.endowment(keypair_from_uri("//Alice")), over_http(client, market), None)
                yield cls(market)
            nursery.cancel_scope.cancel()


class Ethereum(Peer):
    """anvil or hardhat."""

    read = ("eth_getBalance", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "latest")

    def __init__(self, name: str, url: str) -> None:
        super().__init__(url)
        self.name = name

    async def transfers_per_second(self, count: int) -> float:
        signer = [str(node.find_node()), str(PEERS / "sign.mjs"), self.url, str(SENDERS), str(count)]
        signed = await trio.run_process(signer, capture_stdout=True)
        client = await HttpClient.open(self.url)
        expected = await _balance(client) + count
        begin = trio.current_time()
        for transaction in signed.stdout.decode().split():
            result_of(orjson.loads(await client.post(request(1, "eth_sendRawTransaction", [transaction]))))
        with trio.fail_after(END_SECONDS):
            while await _balance(client) < expected:  # noqa: ASYNC110 - another program counts
                await trio.sleep(LOOK_SECONDS)
        return count / (trio.current_time() - begin)

    @classmethod
    @asynccontextmanager
    async def start(cls, name: str, command: list[str]) -> AsyncIterator[Ethereum]:
        """The node while the block of code runs."""
        port = free_port()
        process = await trio.lowlevel.open_process(
            [*command, "--port", str(port)], cwd=PEERS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await _wait_for(url)
            yield cls(name, url)
        finally:
            await stop(process)


async def _balance(client: HttpClient) -> int:
    return int(await client.call("eth_getBalance", RECIPIENT, "latest"), 16)


async def _wait_for(url: str) -> None:
    with trio.fail_after(START_SECONDS):
        while True:
            with suppress(OSError):
                await (await HttpClient.open(url)).call("eth_chainId")
                return
            await trio.sleep(LOOK_SECONDS)


async def measure(transfers: int, rounds: int) -> list[Figure]:
    """All of them side by side."""
    node.install(PEERS)
    programs = PEERS / "node_modules"
    anvil = str(next(programs.glob("@foundry-rs/anvil-*/bin/anvil")))
    hardhat = [str(node.find_node()), str(programs / "hardhat" / "internal" / "cli" / "bootstrap.js"), "node"]
    hardhat += ["--hostname", "127.0.0.1"]
    transferred: dict[str, list[float]] = {}
    figures = []
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(Ours.start())
        peers = [
            ours,
            await stack.enter_async_context(Ethereum.start("anvil", [anvil, "--block-time", "1", "--silent"])),
            await stack.enter_async_context(Ethereum.start("hardhat", hardhat)),
        ]
        for number in range(rounds):
            for peer in peers:
                progress(f"transfers: {peer.name}, round {number + 1} of {rounds}")
                transferred.setdefault(peer.name, []).append(await peer.transfers_per_second(transfers))
        medians = {name: statistics.median(values) for name, values in transferred.items()}
        for name, median in medians.items():
            figures.append(Figure(f"transfers/s end to end, {name}", median, "/s"))
        for name in ("anvil", "hardhat"):
            ratio = medians["datdot"] / medians[name]
            figures.append(Figure(f"  ours to {name}'s", ratio, "×", 1.0, more_is_better=True))
        for peer in peers:
            progress(f"reads: {peer.name}")
            figures.append(Figure(f"reads/s, one by one, {peer.name}", await peer.reads_per_second(), "/s"))
            figures.append(Figure(f"  batches of {BATCH_CALLS}", await peer.batched_reads_per_second(), "/s"))
    return figures


def figures(transfers: int = 3_000, rounds: int = 3) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure, transfers, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    show(figures(options.transfers, options.rounds))
