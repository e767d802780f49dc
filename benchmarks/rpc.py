"""What a client of the JSON-RPC port waits for: metadata, storage reads one by one, in batches and many at a time.

python -m benchmarks.rpc [--reads 5000]
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any, Final

import orjson
import trio

from benchmarks.client import HttpClient, WebSocketClient, result_of
from benchmarks.figures import Figure, progress, show
from benchmarks.process import dev_process

METADATA_CALLS: Final = 20
BATCH_CALLS: Final = 100
UNANSWERED: Final = 32
ALICE_ACCOUNT: Final = (
    "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"
    "de1e86a9a8c739864cf3cc5ec2bea59fd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
)


async def metadata_ms(client: HttpClient) -> float:
    """Median time of a state_getMetadata call."""
    times = []
    for _ in range(METADATA_CALLS):
        begin = trio.current_time()
        await client.call("state_getMetadata")
        times.append(1_000 * (trio.current_time() - begin))
    return statistics.median(times)


async def single_calls_per_second(client: HttpClient, calls: int, method: str, *params: Any) -> float:
    """One call after the other on one connection, of any node; its result must not be empty."""
    begin = trio.current_time()
    for _ in range(calls):
        assert await client.call(method, *params)
    return calls / (trio.current_time() - begin)


async def batched_calls_per_second(client: HttpClient, calls: int, method: str, *params: Any) -> float:
    """Batches of one call, one after the other on one connection, of any node; results must not be empty."""
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    body = orjson.dumps([call] * BATCH_CALLS)
    begin = trio.current_time()
    for _ in range(calls // BATCH_CALLS):
        assert all(result_of(answer) for answer in orjson.loads(await client.post(body)))
    return calls // BATCH_CALLS * BATCH_CALLS / (trio.current_time() - begin)


async def websocket_reads_per_second(client: WebSocketClient, reads: int) -> float:
    """Many calls under way on one WebSocket."""
    free = trio.Semaphore(UNANSWERED)

    def answered(answer: Any) -> None:
        assert result_of(answer)
        free.release()

    begin = trio.current_time()
    for _ in range(reads):
        await free.acquire()
        await client.send("state_getStorage", [ALICE_ACCOUNT], answered)
    while free.value < UNANSWERED:  # noqa: ASYNC110 - a semaphore has no event for it
        await trio.sleep(0.001)
    return reads / (trio.current_time() - begin)


async def measure(reads: int) -> list[Figure]:
    """Everything on a fresh market."""
    progress("JSON-RPC reads")
    async with dev_process() as dev:
        await dev.wait_for("ready")
        client = await HttpClient.open(dev.url)
        async with WebSocketClient.open(dev.url) as websocket:
            return [
                Figure("rpc: state_getMetadata, median", await metadata_ms(client), "ms", goal=5),
                Figure(
                    "rpc: state_getStorage, one by one, HTTP",
                    await single_calls_per_second(client, reads, "state_getStorage", ALICE_ACCOUNT),
                    "/s",
                ),
                Figure(
                    f"rpc: state_getStorage, batches of {BATCH_CALLS}, HTTP",
                    await batched_calls_per_second(client, 4 * reads, "state_getStorage", ALICE_ACCOUNT),
                    "/s",
                ),
                Figure(
                    f"rpc: state_getStorage, {UNANSWERED} at once, WebSocket",
                    await websocket_reads_per_second(websocket, reads),
                    "/s",
                ),
            ]


def figures(reads: int = 5_000) -> list[Figure]:
    """Run the benchmark."""
    return trio.run(measure, reads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=5_000)
    show(figures(parser.parse_args().reads))
