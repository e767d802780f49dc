"""How many signed transfers a second one validator includes, submitted one by one over JSON-RPC to `datdot dev`.

    python -m benchmarks.transfers [--transfers 20000]

The transfers are signed before (sr25519, sequential nonces, senders taking turns). Three runs of one market with 1 s
blocks: as fast as the node takes them over one WebSocket connection; at the goal's rate, for the latency; and over one
kept-alive HTTP connection, where each call waits for its answer. Counted are the Transfer events of our senders in the
blocks. Another connection asks for `system_health` all the while: how long it waits shows whether the node responds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from benchmarks.client import HttpClient, WebSocketClient, request
from benchmarks.figures import Figure, progress, quantile, show
from benchmarks.process import dev_process
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from pallets.balances.events import Transfer
from pallets.chain import runtime_for
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import ChainSpec

GOAL_PER_SECOND: Final = 500
SENDERS: Final = 40
ENDOWMENT: Final = 10**15
AMOUNT: Final = 10**6
UNANSWERED: Final = 32
"""Calls under way on the WebSocket."""
UNINCLUDED: Final = 3_000
"""Transfers that may wait in the pool: well below its limit, so that none is refused."""
HEALTH_SECONDS: Final = 0.05
DRAIN_SECONDS: Final = 60
SETTLE_SECONDS: Final = 1
"""After signing, which keeps this process from reading answers."""
EVENTS_KEY: Final = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"

Send = Callable[[bytes], Awaitable[None]]


@dataclass
class Run:
    """What happened to the transfers of one run; times by trio's clock."""

    sent_at: dict[str, float] = field(default_factory=dict)
    included_at: dict[str, float] = field(default_factory=dict)
    per_block: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0

    @property
    def waiting(self) -> int:
        """How many are neither included nor refused."""
        return len(self.sent_at) - len(self.included_at) - self.refused

    @property
    def per_second(self) -> float:
        """Sustained: from the first block that holds one to the last, the first not counted."""
        full = [(at, count) for at, count in self.per_block if count]
        if len(full) < 2:
            return 0.0
        return sum(count for _, count in full[1:]) / (full[-1][0] - full[0][0])

    @property
    def latencies(self) -> list[float]:
        """Seconds from sending to hearing of the block."""
        return [at - self.sent_at[name] for name, at in self.included_at.items()]


@dataclass
class Market:
    """The node under load as this process sees it."""

    url: str
    runtime: Runtime
    genesis_hash: bytes
    senders: list[Keypair]
    run: Run = field(default_factory=Run)
    nonce: int = 0

    def signed(self, count: int) -> list[bytes]:
        """Transfers with the next nonces of all senders, in turns."""
        rounds = math.ceil(count / len(self.senders))
        dest = keypair_from_uri("//Bob").account_id
        made = [
            self._sign(sender, dest, AMOUNT, self.nonce + round_) for round_ in range(rounds) for sender in self.senders
        ]
        self.nonce += rounds
        return made

    def endowment(self, payer: Keypair) -> list[bytes]:
        """Transfers that fund the senders."""
        return [self._sign(payer, one.account_id, ENDOWMENT, nonce) for nonce, one in enumerate(self.senders)]

    def _sign(self, sender: Keypair, dest: bytes, value: int, nonce: int) -> bytes:
        return sign_extrinsic(
            self.runtime.extrinsic_codec,
            self.runtime.version,
            RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(dest), "value": value}),
            sender,
            nonce=nonce,
            genesis_hash=self.genesis_hash,
        )

    async def follow(self, client: HttpClient, heads: trio.MemoryReceiveChannel[tuple[int, float]]) -> None:
        """Look into every block: which of our transfers it holds, and how many Transfer events it made."""
        ours = {sender.account_id for sender in self.senders}
        async for number, at in heads:
            block_hash = await client.call("chain_getBlockHash", number)
            block = (await client.call("chain_getBlock", block_hash))["block"]
            found = []
            for extrinsic in block["extrinsics"]:
                name = blake2_256(bytes.fromhex(extrinsic[2:])).hex()
                if name in self.run.sent_at:
                    found.append(name)
            count = 0
            if found:
                raw = await client.call("state_getStorage", EVENTS_KEY, block_hash)
                records = self.runtime.event_records_codec.decode(bytes.fromhex(raw[2:]))
                events = [record.event for record in records]
                count = sum(isinstance(event, Transfer) and event.from_ in ours for event in events)
                self.run.included_at.update(dict.fromkeys(found, at))
            self.run.per_block.append((at, count))


async def submit_all(market: Market, extrinsics: list[bytes], send: Send, per_second: float | None) -> Run:
    """Send everything, at a rate or as fast as it goes, and wait until it is in blocks."""
    run = market.run = Run()
    begin = trio.current_time()
    for number, extrinsic in enumerate(extrinsics):
        if per_second is not None:
            await trio.sleep_until(begin + number / per_second)
        while run.waiting >= UNINCLUDED:  # noqa: ASYNC110 - a look every 10 ms
            await trio.sleep(0.01)
        run.sent_at[blake2_256(extrinsic).hex()] = trio.current_time()
        await send(extrinsic)
    with trio.move_on_after(DRAIN_SECONDS):
        while run.waiting:  # noqa: ASYNC110 - a look every 100 ms
            await trio.sleep(0.1)
    return run


def over_websocket(client: WebSocketClient, market: Market) -> Send:
    """Up to UNANSWERED calls at once on one connection, one extrinsic each."""
    free = trio.Semaphore(UNANSWERED)

    def answered(answer: Any) -> None:
        market.run.refused += "error" in answer
        free.release()

    async def send(extrinsic: bytes) -> None:
        await free.acquire()
        await client.send("author_submitExtrinsic", ["0x" + extrinsic.hex()], answered)

    return send


def over_http(client: HttpClient, market: Market) -> Send:
    """One call after the other on one kept-alive connection."""

    async def send(extrinsic: bytes) -> None:
        answer = await client.post(request(1, "author_submitExtrinsic", ["0x" + extrinsic.hex()]))
        market.run.refused += b'"error"' in answer

    return send


async def ask_health(url: str, waits: list[float]) -> None:
    """Call system_health for ever and note how long each answer took."""
    client = await HttpClient.open(url)
    while True:
        begin = trio.current_time()
        await client.call("system_health")
        waits.append(trio.current_time() - begin)
        await trio.sleep(HEALTH_SECONDS)


async def measure(transfers: int) -> list[Figure]:
    """All runs on a fresh market."""
    async with dev_process() as dev, trio.open_nursery() as nursery:
        await dev.wait_for("ready")
        url = dev.url
        http = await HttpClient.open(url)
        runtime = runtime_for(ChainSpec.parse((dev.directory / "chain.json").read_bytes()))
        genesis_hash = bytes.fromhex((await http.call("chain_getBlockHash", 0))[2:])
        senders = [keypair_from_uri(f"//Alice//load//{number}") for number in range(SENDERS)]
        market = Market(url, runtime, genesis_hash, senders)
        found, heads = trio.open_memory_channel[tuple[int, float]](1_000)

        def hear(head: Any) -> None:
            found.send_nowait((int(head["number"], 16), trio.current_time()))

        async with WebSocketClient.open(url, hear) as watching, WebSocketClient.open(url) as loading:
            await watching.call("chain_subscribeNewHeads")
            nursery.start_soon(market.follow, http, heads)
            websocket = over_websocket(loading, market)
            await submit_all(market, market.endowment(keypair_from_uri("//Alice")), websocket, None)
            waits: list[float] = []
            nursery.start_soon(ask_health, url, waits)
            figures = []
            for name, count, send, rate in (
                ("as fast as it goes, WebSocket", transfers, websocket, None),
                (f"offered {GOAL_PER_SECOND}/s, WebSocket", min(transfers, 10_000), websocket, GOAL_PER_SECOND),
                ("one at a time, HTTP", min(transfers, 10_000), over_http(await HttpClient.open(url), market), None),
            ):
                progress(f"signing {count} transfers")
                extrinsics = market.signed(count)
                progress(f"transfers: {name}")
                await trio.sleep(SETTLE_SECONDS)
                waits.clear()
                processor_begin = dev.processor_seconds()
                run = await submit_all(market, extrinsics, send, rate)
                processor_ms = 1_000 * (dev.processor_seconds() - processor_begin) / len(extrinsics)
                goal = GOAL_PER_SECOND if send is websocket and rate is None else None
                figures += figures_of(name, run, waits, goal)
                figures.append(Figure("  processor time of the node, per transfer", processor_ms, "ms"))
        nursery.cancel_scope.cancel()
    return figures


def figures_of(name: str, run: Run, waits: list[float], goal: float | None) -> list[Figure]:
    """The figures of one run."""
    return [
        Figure(f"transfers/s, {name}", run.per_second, "/s", goal, more_is_better=True),
        Figure(f"  included of {len(run.sent_at)} sent", float(len(run.included_at)), ""),
        Figure("  most in one block", float(max(count for _, count in run.per_block)), ""),
        Figure("  latency to inclusion, median", quantile(run.latencies, 0.5), "s"),
        Figure("  latency to inclusion, p99", quantile(run.latencies, 0.99), "s"),
        Figure("  system_health meanwhile, median", 1_000 * quantile(waits, 0.5), "ms"),
        Figure("  system_health meanwhile, p99", 1_000 * quantile(waits, 0.99), "ms"),
        Figure("  system_health meanwhile, longest", 1_000 * max(waits, default=0.0), "ms"),
    ]


def figures(transfers: int = 20_000) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure, transfers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=20_000)
    show(figures(parser.parse_args().transfers))
