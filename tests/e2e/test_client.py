"""The client against a node that loses its power: nothing is lost and nothing doubled; and against a whole market."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from node.client import ChainAPI, open_chain
from node.client.chain import BlockEvents
from node.client.errors import NotSupported
from node.keys.derivation import keypair_from_uri
from pallets.balances.events import Transfer
from pallets.datdot.events import HostingStarted, NewAmendment, NewFeed, NewPlan, NewStorageChallenge
from pallets.datdot.types import ChallengeState, ContractState
from runtime.account import Id
from tests.e2e.processes import Program, datdot

pytestmark = pytest.mark.interop

ALICE, BOB = keypair_from_uri("//Alice"), keypair_from_uri("//Bob")
SUBMITTERS, CALLS_EACH, KILLS = 4, 6, 3
PATIENCE_SECONDS = 240.0


class Restarting:
    """One node that is killed and started again on the same data and port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = 0
        self._node: Any = None
        self.url = ""
        file = directory / "chain.json"
        with datdot("genesis", "new", file, "--validators", 1, "--block-time", 0.5) as made:
            assert made.exit_status() == 0, made.log

    def start(self) -> None:
        """Starts the node and waits for its port."""
        self._node = datdot(
            "node", "--genesis", self._directory / "chain.json", "--validator", "--key", "//Alice",
            "--base-path", self._directory / "data", "--rpc-port", self._port, "--log-json",
        )  # fmt: skip
        self.program: Program = self._node.__enter__()
        line = self.program.logged("node started")
        self.url = line[line.index("ws://") :].split('"')[0].split()[0]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        self.program.kill()
        self._node.__exit__(None, None, None)

    def stop(self) -> None:
        """Ends the node for good."""
        self._node.__exit__(None, None, None)


@contextmanager
def restarting(directory: Path) -> Iterator[Restarting]:
    node = Restarting(directory)
    node.start()
    try:
        yield node
    finally:
        node.stop()


async def test_a_node_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    values = Counter(range(1_000_000, 1_000_000 + SUBMITTERS * CALLS_EACH))
    told: list[int] = []
    seen: Counter[int] = Counter()
    confirmed: Counter[int] = Counter()
    confirm, confirmations = trio.open_memory_channel[None](values.total())
    with restarting(tmp_path) as node, trio.fail_after(PATIENCE_SECONDS):
        async with open_chain(node.url, signer=ALICE) as chain:

            async def follow(scope: trio.CancelScope) -> None:
                async with chain.listen_to_events(from_block=0) as blocks:
                    async for block in blocks:
                        assert isinstance(block, BlockEvents)
                        told.append(block.number)
                        seen.update(event.amount for event in block.of(Transfer) if event.to == BOB.account_id)
                        if seen.total() >= values.total() and confirmed.total() == values.total():
                            scope.cancel()

            async def submit(amounts: list[int]) -> None:
                for value in amounts:
                    receipt = await chain.call(
                        "Balances", "transfer_keep_alive", dest=Id(BOB.account_id), value=value
                    )
                    confirmed.update(event.amount for event in receipt.events if isinstance(event, Transfer))
                    confirm.send_nowait(None)

            async def kill() -> None:
                for _ in range(KILLS):
                    for _ in range(values.total() // (KILLS + 2)):
                        await confirmations.receive()
                    await trio.to_thread.run_sync(node.kill)
                    await trio.to_thread.run_sync(node.start)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow, nursery.cancel_scope)
                nursery.start_soon(kill)
                amounts = sorted(values)
                for number in range(SUBMITTERS):
                    nursery.start_soon(submit, amounts[number::SUBMITTERS])
            assert confirmed == values
            assert seen == values
            assert told == list(range(told[-1] + 1))
            account = await chain.query("System", "Account", ALICE.account_id)
            assert account.nonce == values.total()


async def test_every_function_and_query_answers_on_a_market_at_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(random.Random(4).randbytes(3 * 65_536))
    ports = ("--rpc-port", 0, "--app-port", 0, "--json")
    with datdot("dev", "--data", tmp_path / "data", "--block-time", 0.5, "--share", file, *ports) as dev:
        url = dev.event("ready", 120)["rpc"]
        dev.event("storage_proof_confirmed", PATIENCE_SECONDS)
        with trio.fail_after(PATIENCE_SECONDS):
            async with open_chain(url, signer=ALICE) as chain:
                await check_market(chain)


async def check_market(chain: ChainAPI) -> None:
    """What the events of the market name is found by every query, the same from each side."""
    happened: list[Any] = []
    async with chain.listen_to_events(from_block=0) as blocks:
        async for block in blocks:
            happened += block.events if isinstance(block, BlockEvents) else ()
            if block.number >= await chain.get_block_number() - 1:
                break

    def event(kind: type[Any]) -> Any:
        return next(one for one in happened if isinstance(one, kind))

    feed_id, plan_id = event(NewFeed).feed, event(NewPlan).plan
    feed, plan = await chain.get_feed_by_id(feed_id), await chain.get_plan_by_id(plan_id)
    assert feed is not None
    assert plan is not None
    assert await chain.get_feed_by_key(feed.key) == feed_id
    assert await chain.get_feed_key(feed_id) == feed.key
    started, amended = event(HostingStarted), event(NewAmendment)
    contract = await chain.get_contract_by_id(started.contract)
    assert contract is not None
    assert contract.state is ContractState.HOSTED
    assert (contract.plan, contract.feed) == (plan_id, feed_id)
    assert started.contract in plan.contracts
    amendment = await chain.get_amendment_by_id(amended.amendment)
    assert amendment is not None
    assert started.hoster in amendment.hosters
    encoder, attestor = amendment.encoders[0], amendment.attestors[0]
    assert encoder is not None
    assert attestor is not None
    for user_id, key_of in (
        (started.hoster, chain.get_hoster_key),
        (encoder, chain.get_encoder_key),
        (attestor, chain.get_attestor_key),
    ):
        user = await chain.get_user_by_id(user_id)
        assert user is not None
        assert await key_of(user_id) == user.noise_key
        assert await chain.get_signing_key(user_id) == user.signing_key
        assert await chain.get_user_id_by_noise_key(user.noise_key) == user_id
        assert await chain.get_user_id_by_signing_key(user.signing_key) == user_id
        assert await chain.get_user_address(user_id) is not None
    newest = [one for one in happened if isinstance(one, NewStorageChallenge)][-1]
    challenge = await chain.get_storage_challenge_by_id(newest.challenge)
    assert challenge is not None
    assert challenge.hoster == newest.hoster
    assert challenge.state in ChallengeState
    assert await chain.get_performance_challenge_by_id(plan_id) is None
    for item_id, kind in ((feed_id, "Feed"), (plan_id, "Plan"), (started.contract, "Contract"), (encoder, "User")):
        item = await chain.get_item_by_id(item_id)
        assert item is not None
        assert item.type == kind
        assert item.value is not None
    with pytest.raises(NotSupported, match=r"no call DatDot\.submit_performance_challenge"):
        await chain.submit_performance_challenge(1, ())


