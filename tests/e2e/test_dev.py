"""`datdot dev --share FILE`: a market in one process, seen by scripts, by a JavaScript reader and through JSON-RPC."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from node.net.frames import FrameStream, PeerGone
from node.net.host import DialFailed, Host
from node.net.messages import CONTROL_PROTOCOL
from pallets.datdot.events import Paid
from pallets.datdot.types import ContractState
from tests.e2e.chain import Chain, SubscriptionEnded, check_money
from tests.e2e.processes import Line, Program, datdot, read_with_javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

CHUNK_BYTES = 65_536
CONTENT = random.Random(1).randbytes(10 * CHUNK_BYTES + 4_321)  # eleven chunks, so two contracts; the last chunk is odd
CHUNKS, CONTRACTS, COPIES = 11, 2, 3
FIRST_TIMES = (
    "ready", "feed_published", "plan_published", "sealing", "hosting_started", "paid", "storage_proof_confirmed",
    "available",
)  # fmt: skip


@dataclass
class Market:
    """A running `datdot dev` that shares a file, and its chain."""

    program: Program
    chain: Chain
    directory: Path
    available: Line


def share(folder: Path) -> Path:
    file = folder / "shared.bin"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("market")
    directory = folder / "data"
    ports = ("--rpc-port", 0, "--app-port", 0)
    with datdot("dev", "--share", share(folder), "--data", directory, "--block-time", 0.5, "--json", *ports) as program:
        ready = program.event("ready")
        chain = Chain.of_directory(ready["rpc"], directory)
        yield Market(program, chain, directory, program.event("available", 120))
        assert program.is_running
        assert program.stop() == 0
        assert not [line for line in program.log if "Traceback" in line], program.tail()


def test_a_share_with_a_timeout_tells_every_step_in_order_and_ends_with_status_0(tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = ("--block-time", 0.5, "--json", "--timeout", 120, "--rpc-port", 0, "--app-port", 0, "--data", data)
    with datdot("dev", "--share", share(tmp_path), *options) as program:
        chain = Chain.of_directory(program.event("ready")["rpc"], data)
        check_money_until_the_end(program, chain)
        assert program.exit_status(130) == 0, program.tail()
    names = [line["event"] for line in program.lines]
    assert tuple(dict.fromkeys(names)) == FIRST_TIMES
    assert names.count("available") == names.count("ready") == 1
    assert names[-1] == "available"
    assert program.log == []  # nothing worth a warning happens in an ordinary run


def test_a_share_that_is_not_available_in_time_ends_with_status_1_and_a_sentence(tmp_path: Path) -> None:
    options = ("--json", "--timeout", 1, "--rpc-port", 0, "--app-port", 0)
    with datdot("dev", "--share", share(tmp_path), *options) as program:
        assert program.exit_status() == 1
        (said,) = program.log
    assert said.startswith("datdot: ")
    assert "within 1 s" in said
    assert not program.events("available")


def check_money_until_the_end(program: Program, chain: Chain) -> None:
    """Looks at every block as it comes, until the program has told that its share is available, and ends."""
    checked = 0
    try:
        with closing(chain.blocks(1, 120)) as numbers:
            for number in numbers:
                if program.events("available"):
                    break
                checked += check_money(chain, number, number)
    except (SubscriptionEnded, OSError):
        program.event("available")
    assert checked > 10


def test_the_lines_of_a_share_agree_with_each_other_and_with_the_file(market: Market) -> None:
    lines = market.program
    feed = lines.event("feed_published")
    plan = lines.event("plan_published")
    assert feed["length"] == CHUNKS
    assert plan["contracts"] == CONTRACTS
    assert market.available["key"] == feed["key"]
    assert (market.available["length"], market.available["bytes"]) == (CHUNKS, len(CONTENT))
    assert market.available["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    sealing = lines.events("sealing")
    assert [line["done"] for line in sealing] == sorted(line["done"] for line in sealing)
    assert sealing[-1]["done"] == sealing[-1]["total"] == CHUNKS * COPIES
    hosted = lines.events("hosting_started")
    assert len({(line["contract"], line["hoster"]) for line in hosted}) == len(hosted) == CONTRACTS * COPIES
    proven = {line["hoster"] for line in lines.events("storage_proof_confirmed")}
    assert {line["hoster"] for line in hosted} <= proven
    assert {line["role"] for line in lines.events("paid")} == {"encoder", "hoster", "attestor"}


def test_what_the_lines_tell_of_payments_is_what_the_chain_paid(market: Market) -> None:
    plan = market.program.event("plan_published")
    events = market.chain.events_between(1, market.chain.height(), Paid)
    paid = [(event.user, event.amount, event.role.name.lower()) for event in events if event.plan == plan["plan"]]
    told = [(line["user"], line["amount"], line["role"]) for line in market.program.events("paid")]
    assert told == paid[: len(told)]


def test_every_contract_of_the_share_is_hosted_and_proven_at_each_position(market: Market) -> None:
    plan = market.program.event("plan_published")["plan"]
    with market.chain.market() as pallet:
        contracts = [pallet.contract(contract_id) for contract_id in pallet.plan(plan).contracts]
        assert [contract.state for contract in contracts] == [ContractState.HOSTED] * CONTRACTS
        assert sum(contract.chunks for contract in contracts) == CHUNKS
        positions = [position for contract in contracts for position in contract.positions]
    assert all(position is not None and position.proven for position in positions)


def test_an_unmodified_javascript_hypercore_gets_every_block_from_the_hosters(market: Market) -> None:
    result = read_with_javascript(market.available)
    assert (result["length"], result["bytes"]) == (CHUNKS, len(CONTENT))
    assert result["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_the_peers_of_a_share_are_hosters_and_not_its_author(market: Market) -> None:
    """With the author gone, what the peers give is what is stored: no replica on disk holds the contents."""
    author = market.directory / "accounts"
    with_shares = [path.parent for path in author.glob("*/shares")]
    assert len(with_shares) == 1
    hosted = len({line["hoster"] for line in market.program.events("hosting_started")})
    assert len({(peer["host"], peer["port"]) for peer in market.available["peers"]}) == hosted
    for data in author.glob("*/feeds/*/data"):
        assert CONTENT[:1_024] not in data.read_bytes()
    for lane in author.glob("*/lanes/*.lane"):
        assert CONTENT[:1_024] not in lane.read_bytes()


def test_no_money_appears_or_vanishes_in_any_block(market: Market) -> None:
    assert check_money(market.chain) > 10


GARBAGE = (b"", b"\x00", b"\xff" * 64, b"\xa1\x67genesis\x01", random.Random(2).randbytes(1_000))
MAX_ATTEMPTS = 50


async def test_a_peer_that_sends_garbage_is_banned_and_the_node_goes_on(market: Market) -> None:
    (address,) = market.chain.call("system_localListenAddresses")
    before = market.chain.height()
    with trio.fail_after(60):
        async with Host.start(b"\x07" * 32, ("127.0.0.1", 0)) as stranger:
            await _send_garbage_until_banned(stranger, address, market.program)
            with pytest.raises((DialFailed, PeerGone)):
                peer_id = await stranger.connect(address)
                await (await stranger.open_stream(peer_id, CONTROL_PROTOCOL)).receive()
        async with Host.start(b"\x08" * 32, ("127.0.0.1", 0)) as newcomer:  # only the offender is banned
            await newcomer.open_stream(await newcomer.connect(address), CONTROL_PROTOCOL)
    await trio.to_thread.run_sync(market.chain.wait_for_block, before + 2)


async def _send_garbage_until_banned(stranger: Host, address: str, node: Program) -> None:
    """Breaks the handshake from both sides, with other bytes each time."""

    async def answer_with_garbage(stream: FrameStream, peer_id: str) -> None:
        await stream.send(GARBAGE[2])

    stranger.handle(CONTROL_PROTOCOL, answer_with_garbage)
    for attempt in range(MAX_ATTEMPTS):
        if any(f"banned {stranger.peer_id}" in line for line in node.log):
            return
        try:
            peer_id = await stranger.connect(address)
            stream = await stranger.open_stream(peer_id, CONTROL_PROTOCOL)
            await stream.send(GARBAGE[attempt % len(GARBAGE)])
            await stream.receive()
        except (DialFailed, PeerGone):
            await stranger.disconnect(address.rpartition("/")[2])
    raise AssertionError(f"not banned after {MAX_ATTEMPTS} attempts:\n{node.tail()}")


NOISE = (b"", b"\n", b"GET / HTTP/1.1\r\n\r\n", bytes(100_000), random.Random(3).randbytes(9_999))


@pytest.mark.parametrize("data", NOISE, ids=["nothing", "newline", "http", "zeros", "random"])
def test_garbage_on_any_open_port_leaves_the_node_running(market: Market, data: bytes) -> None:
    p2p = int(market.chain.call("system_localListenAddresses")[0].split("/")[4])
    rpc = urlsplit(market.chain.url).port
    hypercore = [peer["port"] for peer in market.available["peers"]]
    before = market.chain.height()
    for port in (p2p, rpc, *hypercore):
        with socket.create_connection(("127.0.0.1", port), 10) as stream:
            try:
                stream.sendall(data)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(65_536):
                    pass
            except OSError:
                continue
    market.chain.wait_for_block(before + 1)
    assert read_with_javascript(market.available)["sha256"] == market.available["sha256"]
