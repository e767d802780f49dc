"""A contract is set up, hosted, proven and read by the real services."""

from __future__ import annotations

from pathlib import Path

from hypercore.io.core import Core
from hypercore.io.replication import open_replication
from pallets.datdot.events import HostingStarted, ProofOfStorageConfirmed

from .world import PATIENCE_SECONDS, small_core, staffed_market, until


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
