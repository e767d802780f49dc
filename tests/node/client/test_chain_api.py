"""The market's functions, the same over the chain of this process and over a WebSocket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hypercore.proof import create_range_proof, encode_block_sizes_proof
from node.client import chain_api, open_chain
from node.client.chain import BlockEvents
from node.client.chain_api import CallFailed, ChainAPI
from node.client.errors import ClientError, HistoryPruned, NotSupported, SubmitFailed, SubmitFailure, UnknownBlock
from node.client.local import LocalChain
from node.client.local_connection import LocalConnection
from node.keys.derivation import keypair_from_uri
from node.roles.identity import ProviderIdentity
from node.roles.publishing import market_config, quote
from pallets.datdot.components import (
    Components,
    DatasetInput,
    FormInput,
    LeafEvidence,
    NotStored,
    PlanInput,
    ProgramInput,
    Region,
    Resources,
    RoleOffer,
)
from pallets.datdot.events import NewFeed, NewPlan, Registered
from pallets.datdot.types import PlanState, Prices, Role
from runtime.account import Id
from runtime.crypto import ss58_encode
from tests.node.chain.conftest import ALICE, BOB
from tests.node.client.served import served
from tests.node.roles.world import small_core
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcNode

IDENTITY = ProviderIdentity.of(ALICE)
NO_PRICES = Prices(0, 0, 0, 0, 0)
SEED_FUNCTIONS = (
    "getBlockNumber", "newUser", "registerForWork", "publishFeed", "publishPlan", "amendmentReport",
    "submitStorageChallenge", "submitPerformanceChallenge", "listenToEvents", "getFeedByID", "getPlanByID",
    "getAmendmentByID", "getContractByID", "getStorageChallengeByID", "getPerformanceChallengeByID", "getItemByID",
    "getFeedKey", "getUserAddress", "getUserIDByNoiseKey", "getUserIDBySigningKey", "getHosterKey", "getEncoderKey",
    "getAttestorKey", "getSigningKey",
)  # fmt: skip
SEED_QUERIES = (
    "getItemByID", "getUserByID", "getUserIDByNoiseKey", "getUserIDBySigningKey", "getFeedByID", "getFeedByKey",
    "getPlanByID", "getAmendmentByID", "getContractByID", "getStorageChallengeByID", "getPerformanceChallengeByID",
)  # fmt: skip

pytestmark = pytest.mark.parametrize("kind", ["local", "remote"])


@asynccontextmanager
async def opened(kind: str, path: Path) -> AsyncIterator[tuple[RpcNode, ChainAPI]]:
    async with served(path) as (rpc, url):
        if kind == "local":
            yield rpc, ChainAPI(LocalConnection(LocalChain(rpc.node.chain, rpc.node.transactions)), ALICE)
        else:
            async with open_chain(url, signer=ALICE) as chain:
                yield rpc, chain


async def join(chain: ChainAPI) -> int:
    proofs = IDENTITY.key_proofs(chain.connection.genesis_hash)
    return await chain.new_user(IDENTITY.noise_key, IDENTITY.signing_key, proofs)


def test_every_function_and_query_of_the_seed_has_its_name_here(kind: str) -> None:
    for name in {*SEED_FUNCTIONS, *SEED_QUERIES}:
        ours = re.sub(r"([a-z])([A-Z])", r"\1_\2", name.replace("ID", "Id")).lower()
        assert callable(getattr(ChainAPI, ours))
        assert re.search(rf"\b{name}\b.*\b{ours}\b", chain_api.__doc__ or "")


async def test_users_are_made_and_found(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        user_id = await join(chain)
        user = await chain.get_user_by_id(user_id)
        assert user is not None
        assert (user.account, user.noise_key) == (ALICE.account_id, IDENTITY.noise_key)
        assert await chain.get_user_address(user_id) == ss58_encode(ALICE.account_id)
        assert await chain.get_user_id_by_noise_key(IDENTITY.noise_key) == user_id
        assert await chain.get_user_id_by_signing_key(IDENTITY.signing_key) == user_id
        for key_of in (chain.get_hoster_key, chain.get_encoder_key, chain.get_attestor_key):
            assert await key_of(user_id) == IDENTITY.noise_key
        assert await chain.get_signing_key(user_id) == IDENTITY.signing_key
        item = await chain.get_item_by_id(user_id)
        assert item is not None
        assert (item.type, item.value) == ("User", user)


async def test_work_is_offered(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        user_id = await join(chain)
        form = FormInput(None, None, (), (-1,), (), resources=-1, ask=NO_PRICES)
        offer = Components(regions=(Region("u33"),), resources=(Resources(1 << 30, 10**8, 10**8),))
        receipt = await chain.register_for_work(form, offer, [RoleOffer(Role.HOSTER, 4)])
        (told,) = (event for event in receipt.events if isinstance(event, Registered))
        assert (told.user, told.roles) == (user_id, (Role.HOSTER,))
        item = await chain.get_item_by_id(told.form)
        assert item is not None
        assert item.type == "Form"
        region = await chain.get_item_by_id(item.value.regions[0])
        assert region is not None
        assert (region.type, region.value) == ("Region", Region("u33"))


async def test_a_plan_is_published_and_read_back(kind: str, tmp_path: Path) -> None:
    core = small_core(12)
    async with opened(kind, tmp_path) as (rpc, chain):
        await join(chain)
        feed_id = await chain.publish_feed(core.key, core.head_proof())
        assert await chain.publish_feed(core.key, core.head_proof()) == feed_id
        assert await chain.get_feed_by_key(core.key) == feed_id
        assert await chain.get_feed_key(feed_id) == core.key
        feed = await chain.get_feed_by_id(feed_id)
        assert feed is not None
        assert feed.head.length == 12
        proof = encode_block_sizes_proof(create_range_proof(core.view(), 0, 11))
        plan = PlanInput(
            from_=None,
            until=await chain.get_block_number() + 500,
            program=(ProgramInput((-1,), (), ()),),
            prices=None,
        )
        deposit = quote(market_config(LocalChain(rpc.node.chain, rpc.node.transactions)), (0, 11), 500).total
        dataset = DatasetInput(feed_id, ((0, 11),), (proof,))
        plan_id = await chain.publish_plan(plan, Components(datasets=(dataset,)), deposit)
        stored = await chain.get_plan_by_id(plan_id)
        assert stored is not None
        assert (stored.until, stored.state, len(stored.contracts)) == (plan.until, PlanState.SCHEDULED, 2)
        contract = await chain.get_contract_by_id(stored.contracts[0])
        assert contract is not None
        assert (contract.plan, contract.feed, contract.chunks) == (plan_id, feed_id, 10)
        async with chain.listen_to_events(from_block=2) as blocks:
            async for block in blocks:
                assert isinstance(block, BlockEvents)
                if block.of(NewPlan):
                    assert block.of(NewPlan)[0].plan == plan_id
                    break
                assert block.of(NewFeed) in ((), (NewFeed(feed_id),))


async def test_what_does_not_exist_is_none(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        for by_id in (
            chain.get_item_by_id, chain.get_user_by_id, chain.get_feed_by_id, chain.get_plan_by_id,
            chain.get_amendment_by_id, chain.get_contract_by_id, chain.get_storage_challenge_by_id,
            chain.get_performance_challenge_by_id, chain.get_feed_key, chain.get_user_address, chain.get_hoster_key,
            chain.get_encoder_key, chain.get_attestor_key, chain.get_signing_key,
        ):  # fmt: skip
            assert await by_id(77) is None
        for by_key in (chain.get_user_id_by_noise_key, chain.get_user_id_by_signing_key, chain.get_feed_by_key):
            assert await by_key(bytes(32)) is None


async def test_calls_that_the_chain_refuses_fail_with_its_reason(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        with pytest.raises(CallFailed, match=r"refused DatDot\.publish_feed: DatDot\.UnknownUser: The") as failed:
            await chain.publish_feed(bytes(32), b"")
        assert failed.value.receipt.error is not None
        await join(chain)
        with pytest.raises(CallFailed, match=r"DatDot\.DuplicateUser"):
            await join(chain)
        with pytest.raises(CallFailed, match=r"DatDot\.BadProof"):
            await chain.publish_feed(bytes(32), b"")
        with pytest.raises(CallFailed, match=r"DatDot\.MissingAmendment"):
            await chain.amendment_report(9, [NotStored(0, 1, None)])
        with pytest.raises(CallFailed, match=r"DatDot\.MissingChallenge"):
            await chain.submit_storage_challenge(9, [LeafEvidence(0, b"leaf", ())])


async def test_what_the_chain_has_no_call_for_is_not_supported(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (rpc, chain):
        with pytest.raises(NotSupported, match=r"no call DatDot\.submit_performance_challenge; DatDot has new_user"):
            await chain.submit_performance_challenge(1, ())
        with pytest.raises(NotSupported, match="no pallet Nope"):
            await chain.call("Nope", "nope")
        with pytest.raises(NotSupported, match=r"stores no DatDot\.Nope"):
            await chain.query("DatDot", "Nope")
        assert rpc.node.best.number == 1


async def test_a_call_needs_somebody_who_signs_and_can_pay(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        with pytest.raises(ClientError, match="nobody signs"):
            await ChainAPI(chain.connection).call("System", "remark", remark=b"")
        with pytest.raises(SubmitFailed, match="Inability to pay some fees") as refused:
            await ChainAPI(chain.connection, keypair_from_uri("//Pauper")).call("System", "remark", remark=b"")
        assert refused.value.kind is SubmitFailure.REFUSED


async def test_any_call_and_any_item_can_be_used_and_finality_waited_for(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (_, chain):
        patient = ChainAPI(chain.connection, ALICE, finalized=True)
        receipt = await patient.call("Balances", "transfer_keep_alive", dest=Id(BOB.account_id), value=10**6, tip=2)
        assert await chain.get_block_number(finalized=True) >= receipt.block_number
        before = await chain.query("System", "Account", BOB.account_id, at=chain.connection.genesis_hash)
        after = await chain.query("System", "Account", BOB.account_id)
        assert after.data.free == before.data.free + 10**6


async def test_states_are_read_at_a_block_while_they_are_kept(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (rpc, chain):
        early = rpc.node.best.hash
        assert await chain.query("System", "Number", at=early) == 1
        await rpc.author(10 * WINDOW_BLOCKS)
        with pytest.raises(HistoryPruned, match="this node keeps the states of blocks"):
            await chain.query("System", "Number", at=early)
        with pytest.raises(UnknownBlock):
            await chain.query("System", "Number", at=bytes(32))
        with pytest.raises(HistoryPruned):
            async with chain.listen_to_events(from_block=1) as blocks:
                await anext(blocks)
