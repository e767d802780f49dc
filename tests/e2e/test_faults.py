"""Hosters that no longer have the sealed bytes: they miss their challenges, are not paid, and are replaced."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.devnet.chain_file import development_spec
from node.devnet.dev import PROVIDERS
from pallets.datdot.events import ChallengeMissed, DropHosting, HostingStarted, Paid
from pallets.datdot.types import ContractState, Role
from runtime.events import Event
from tests.e2e.chain import Chain, check_money
from tests.e2e.processes import datdot, read_with_javascript

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

CHUNK_BYTES = 65_536
TEXT = b"".join(b"line %d of a text that compresses well\n" % number for number in range(8_000))
NOISE = random.Random(5).randbytes(5 * CHUNK_BYTES - 1)
FOOTER_BYTES = 4 + 32 + 8  # length and hash of the trailer, and the mark of the format
SHORT_TIMES = {"ChallengeDelay": 2, "ResponseWindow": 8}  # blocks: three misses take about 20 s
MISSES = 3


@dataclass(frozen=True)
class Lane:
    """A sealed copy on disk, and what the chain says about it."""

    contract: int
    position: int
    amendment: int
    hoster: int
    path: Path
    content: bytes

    def overwrite(self, fake: bytes) -> None:
        """Puts other bytes in place of the sealed ones, cut or padded to the same length; the trailer stays."""
        with self.path.open("r+b") as file:
            data = file.read()
            trailer_bytes = int.from_bytes(data[-FOOTER_BYTES:][:4], "big")
            sealed_bytes = len(data) - FOOTER_BYTES - trailer_bytes
            file.seek(0)
            file.write(fake[:sealed_bytes].ljust(sealed_bytes, b"\0"))
        assert self.path.stat().st_size == len(data)


def delete(lane: Lane, _: Lane) -> None:
    lane.path.unlink()


def keep_the_decoded_file_only(lane: Lane, _: Lane) -> None:
    lane.overwrite(lane.content)


def keep_a_compressed_file_only(lane: Lane, _: Lane) -> None:
    lane.overwrite(zlib.compress(lane.content, 9))


def keep_the_copy_of_another_hoster(lane: Lane, other: Lane) -> None:
    lane.overwrite(other.path.read_bytes())


DAMAGE: tuple[tuple[int, int, Callable[[Lane, Lane], None]], ...] = (
    (0, 0, delete),
    (0, 1, keep_the_decoded_file_only),
    (1, 0, keep_a_compressed_file_only),
    (1, 1, keep_the_copy_of_another_hoster),
)
"""Which share, which position, what is done to it; position 2 of both stays whole."""
NAMES = [damage.__name__ for _, _, damage in DAMAGE]


@dataclass
class Aftermath:
    """What the chain went through from the damage until every contract was hosted whole again."""

    chain: Chain
    lanes: dict[tuple[int, int], Lane]
    happened: list[tuple[int, Event]]
    log: list[str]

    def dropped(self, lane: Lane) -> int:
        """The block in which a lane was taken from its hoster."""
        return next(
            number
            for number, event in self.happened
            if isinstance(event, DropHosting) and (event.amendment, event.hoster) == (lane.amendment, lane.hoster)
        )

    def paid(self, lane: Lane) -> list[int]:
        """The blocks in which the hoster was paid for storing the lane."""
        return [
            number
            for number, event in self.happened
            if isinstance(event, Paid)
            and (event.contract, event.user, event.role) == (lane.contract, lane.hoster, Role.HOSTER)
        ]

    def missed(self, lane: Lane) -> list[tuple[int, int]]:
        """(block, misses in a row) of each challenge that the lane missed with this hoster."""
        return [
            (number, event.misses)
            for number, event in self.happened
            if isinstance(event, ChallengeMissed)
            and (event.contract, event.position, event.hoster) == (lane.contract, lane.position, lane.hoster)
        ]


def write_chain_file(directory: Path) -> None:
    """The chain of `dev` with short times, where `dev` finds it."""
    spec = development_spec(
        1, PROVIDERS, block_time_seconds=0.5, name="DatDot Development", chain_type="Development"
    )
    market = {**spec.genesis["constants"]["DatDot"], **SHORT_TIMES}
    constants = {**spec.genesis["constants"], "DatDot": market}
    directory.mkdir()
    changed = replace(spec, genesis={**spec.genesis, "constants": constants})
    (directory / "chain.json").write_text(json.dumps(changed.to_json()))


def lanes_on_disk(chain: Chain, directory: Path, plans: dict[int, bytes]) -> dict[tuple[int, int], Lane]:
    """The lanes of plans with one contract each, by (number of the share, position)."""
    lanes = {}
    with chain.market() as market:
        for number, (plan, content) in enumerate(plans.items()):
            (contract,) = market.plan(plan).contracts
            for index, position in enumerate(market.contract(contract).positions):
                assert position is not None
                name = f"{contract}-{position.amendment}-{index}-*.lane"
                (path,) = directory.glob(f"accounts/*/lanes/{name}")
                lanes[number, index] = Lane(contract, index, position.amendment, position.hoster, path, content)
    return lanes


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("faults")
    directory = folder / "data"
    write_chain_file(directory)
    files = {folder / "text": TEXT, folder / "noise": NOISE}
    for path, content in files.items():
        path.write_bytes(content)
    shares = [option for path in files for option in ("--share", path)]
    with datdot("dev", *shares, "--data", directory, "--json", "--rpc-port", 0, "--app-port", 0) as program:
        chain = Chain.of_directory(program.event("ready")["rpc"], directory)
        available = [program.event("available", 120, bytes=len(content)) for content in files.values()]
        keys = [line["key"] for line in available]
        lanes = lanes_on_disk(chain, directory, dict(zip(plans_of(chain, keys), files.values(), strict=True)))
        for share, position, damage in DAMAGE:
            damage(lanes[share, position], lanes[share, 2])
        # An answer that was on its way when the bytes went is in the next block.
        happened = list(until_repaired(chain, chain.height() + 2, lanes))
        for line in available:
            assert read_with_javascript(line)["sha256"] == line["sha256"]
        yield Aftermath(chain, lanes, happened, program.log)
        assert program.stop() == 0


def plans_of(chain: Chain, keys: list[str]) -> list[int]:
    """The plan of each core."""
    plans = {}
    with chain.market() as market:
        for _, contract in market.contract_by_id.items():
            feed = market.feed_by_id.get(contract.feed)
            assert feed is not None
            plans[feed.key.hex()] = contract.plan
    return [plans[key] for key in keys]


def until_repaired(chain: Chain, start: int, lanes: dict[tuple[int, int], Lane]) -> Iterator[tuple[int, Event]]:
    """Everything that happens from block `start` until each damaged lane was dropped and set up somewhere else."""
    damaged = {(lanes[place].amendment, lanes[place].hoster) for place in ((0, 0), (0, 1), (1, 0), (1, 1))}
    contracts = {lane.contract for lane in lanes.values()}
    with closing(chain.blocks(start, 120)) as numbers:
        for number in numbers:
            for event in chain.events(number):
                yield number, event
                if isinstance(event, DropHosting):
                    damaged.discard((event.amendment, event.hoster))
            if not damaged:
                with chain.market(number) as market:
                    if all(market.contract(contract).state is ContractState.HOSTED for contract in contracts):
                        return


@pytest.mark.parametrize(("share", "position", "damage"), DAMAGE, ids=NAMES)
def test_a_hoster_without_the_sealed_bytes_misses_every_challenge_and_loses_the_lane(
    aftermath: Aftermath, share: int, position: int, damage: object
) -> None:
    lane = aftermath.lanes[share, position]
    missed = aftermath.missed(lane)
    assert [misses for _, misses in missed] == list(range(1, MISSES + 1))
    assert missed[-1][0] == aftermath.dropped(lane)


@pytest.mark.parametrize(("share", "position", "damage"), DAMAGE, ids=NAMES)
def test_a_hoster_without_the_sealed_bytes_is_not_paid_for_the_lane(
    aftermath: Aftermath, share: int, position: int, damage: object
) -> None:
    lane = aftermath.lanes[share, position]
    # Draws are over all bytes of a hoster, so a challenge may pass a small lane by; once asked, it is asked each time.
    first_asked, _ = aftermath.missed(lane)[0]
    unpaid = range(first_asked, aftermath.dropped(lane) + 1)
    assert [number for number in aftermath.paid(lane) if number in unpaid] == []


@pytest.mark.parametrize(("share", "position", "damage"), DAMAGE, ids=NAMES)
def test_what_was_not_proven_is_forfeited_and_not_paid_later(
    aftermath: Aftermath, share: int, position: int, damage: object
) -> None:
    lane = aftermath.lanes[share, position]
    for number, misses in aftermath.missed(lane)[:-1]:
        with aftermath.chain.market(number) as market:
            state = market.contract(lane.contract).positions[lane.position]
        assert state is not None
        assert (state.since, state.misses) == (number, misses)


@pytest.mark.parametrize("share", [0, 1])
def test_a_hoster_of_the_same_contract_that_kept_its_copy_goes_on_earning(aftermath: Aftermath, share: int) -> None:
    lane = aftermath.lanes[share, 2]
    assert aftermath.missed(lane) == []
    assert aftermath.paid(lane)


@pytest.mark.parametrize(("share", "position", "damage"), DAMAGE, ids=NAMES)
def test_a_lost_lane_is_sealed_anew_and_hosted_by_somebody_else(
    aftermath: Aftermath, share: int, position: int, damage: object
) -> None:
    lane = aftermath.lanes[share, position]
    started = [event for _, event in aftermath.happened if isinstance(event, HostingStarted)]
    successors = [event for event in started if event.contract == lane.contract]
    assert len(successors) >= 2
    with aftermath.chain.market(aftermath.happened[-1][0]) as market:
        state = market.contract(lane.contract).positions[lane.position]
    assert state is not None
    assert state.amendment != lane.amendment
    assert state.amendment in {event.amendment for event in successors}


def test_a_hoster_says_in_its_log_what_it_lost(aftermath: Aftermath) -> None:
    assert any("leaves of challenge" in line and "cannot be shown" in line for line in aftermath.log)
    assert not any("Traceback" in line for line in aftermath.log)


def test_no_money_appears_or_vanishes_while_lanes_fail_and_are_replaced(aftermath: Aftermath) -> None:
    assert check_money(aftermath.chain) > 40
