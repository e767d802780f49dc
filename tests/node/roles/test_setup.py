"""A contract is set up, hosted, proven and read by the real services."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from pallets.datdot.events import HostingStarted, NewAmendment, ProofOfStorageConfirmed, Registered

from .world import PATIENCE_SECONDS, PROVIDERS, open_market, small_core, staffed_market, until


async def test_contract_is_hosted_proven_and_readable_from_the_hosters_alone(tmp_path: Path) -> None:
    core = small_core(3)
    async with staffed_market(tmp_path) as market:
        async with market.endpoint("Sponsor") as sponsor:
            contract = await market.publish(sponsor, core)
            await until(lambda: len(market.chain.of_kind(HostingStarted)) == 3)
        hosters = set(market.view.hosters_of(contract))
        await until(lambda: {event.hoster for event in market.chain.of_kind(ProofOfStorageConfirmed)} == hosters)
        for hoster in hosters:
            user = market.view.user(hoster)
            assert user is not None
            record = market.network.address_book.lookup(user.noise_key)
            assert record is not None
            assert record.hypercore is not None
            copy = Core.open(None, core.key)
            async with open_replication() as replication:
                await replication.connect(*record.hypercore)
                await replication.update(copy, core.length, timeout_seconds=PATIENCE_SECONDS)
                await replication.download(copy, timeout_seconds=PATIENCE_SECONDS)
            assert [copy.get(index) for index in range(3)] == [core.get(index) for index in range(3)]


async def test_setup_goes_on_after_its_encoder_attestor_and_hoster_were_restarted(tmp_path: Path) -> None:
    core = small_core(3)
    async with open_market(tmp_path, *PROVIDERS, "Sponsor") as market:
        async with AsyncExitStack() as first_run:
            for name in PROVIDERS:
                await first_run.enter_async_context(market.provider(name))
        async with AsyncExitStack() as stack:
            # Everybody is registered and stopped, so the setup begins with nobody there.
            sponsor = await stack.enter_async_context(market.endpoint("Sponsor"))
            contract_id = await market.publish(sponsor, core)
            await until(lambda: market.chain.of_kind(NewAmendment))
            for name in PROVIDERS:
                await stack.enter_async_context(market.provider(name))
            await until(lambda: len(market.chain.of_kind(HostingStarted)) == 3)
        contract = market.view.contract(contract_id)
        assert contract is not None
        (begun,) = market.chain.of_kind(NewAmendment)
        assert {position.amendment for position in contract.positions if position} == {begun.amendment}


async def test_provider_that_is_registered_already_is_not_registered_again(tmp_path: Path) -> None:
    async with open_market(tmp_path, "Provider0") as market:
        async with market.provider("Provider0"):
            pass
        before = len(market.chain.of_kind(Registered))
        async with market.provider("Provider0") as again:
            assert again.user_id == market.user_id("Provider0")
        assert len(market.chain.of_kind(Registered)) == before == 1
        async with market.provider("Provider0", hosting_slots=9):
            assert len(market.chain.of_kind(Registered)) == 2


async def test_an_account_whose_directory_cannot_be_used_begins_anew_and_stops_nobody(tmp_path: Path) -> None:
    async with open_market(tmp_path, "Provider0", "Provider1") as market:
        lanes = tmp_path / "Provider0" / "lanes"
        lanes.parent.mkdir(parents=True, exist_ok=True)
        lanes.write_bytes(b"not a directory")
        async with market.starting_provider("Provider0") as broken, market.provider("Provider1") as sound:
            assert sound.user_id == market.user_id("Provider1")
            assert not broken.ready.is_set()
            lanes.unlink()
            await until(broken.ready.is_set)
