"""Proof of storage: what is asked, what counts as an answer, what it earns and what a miss costs."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from pallets.datdot.components import LeafEvidence
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import (
    ChallengeMissed,
    DatDotError,
    DropHosting,
    HostingStarted,
    NewStorageChallenge,
    Paid,
    ProofOfStorageConfirmed,
    ProofOfStorageFailed,
)
from pallets.datdot.proofs import draw_checks
from pallets.datdot.types import AmendmentKind, ChallengeState, ContractState, LaneRef, Role
from tests.pallets.datdot.people import Person
from tests.pallets.datdot.world import World

PRICE = 1_700_000


@pytest.fixture
def hosted(market: World) -> World:
    """A market with one hosted contract of ten chunks."""
    market.publish(market.people[1], [(0, 9)], market.number + 2_000)
    market.work_for(lambda: len(market.seen(HostingStarted)) == 3, limit=8)
    return market


def test_draws_are_spread_over_all_bytes_by_length() -> None:
    lanes = [LaneRef(1, 0, 7, 10 * 1_024, 0), LaneRef(1, 2, 7, 30 * 1_024, 0), LaneRef(4, 1, 9, 500, 0)]
    counts: Counter[tuple[int, int]] = Counter()
    for number in range(2_000):
        for check in draw_checks(number.to_bytes(32, "big"), 5, lanes, 1):
            counts[check.contract, check.position] += 1
    assert 400 < counts[1, 0] < 600
    assert 1_350 < counts[1, 2] < 1_600
    assert 10 < counts[4, 1] < 50


def test_a_leaf_is_asked_once_in_a_challenge_and_the_last_one_may_be_short() -> None:
    lanes = [LaneRef(1, 0, 7, 2 * 1_024 + 1, 0)]
    checks = draw_checks(bytes(32), 5, lanes, 255)
    assert {0, 1} <= {check.leaf for check in checks} <= {0, 1, 2}
    assert len(set(checks)) == len(checks)
    assert checks == draw_checks(bytes(32), 5, lanes, 255)
    assert checks != draw_checks(bytes(32), 6, lanes, 255)


def test_every_hoster_is_asked_again_and_again_with_a_jitter(hosted: World) -> None:
    hosted.work_until(hosted.number + 120)
    blocks: dict[int, int] = Counter(event.hoster for event in hosted.seen(NewStorageChallenge))
    assert len(blocks) == 3
    assert all(120 // 11 <= count <= 120 // 6 for count in blocks.values())
    assert hosted.seen(ProofOfStorageFailed) == []


def test_a_full_answer_pays_for_every_block_since_the_last_settlement(hosted: World) -> None:
    hosted.work_for(lambda: hosted.seen(NewStorageChallenge) != [], limit=20)
    event = hosted.seen(NewStorageChallenge)[0]
    hoster = hosted.person(event.hoster)
    since = _since(hosted, event.hoster)
    before, treasury = hosted.free(hoster), hosted.free_treasury()
    (result,) = hosted.block(_answering(hosted, event.challenge, hoster))
    assert result.error is None
    gross = 10 * PRICE * (hosted.number - since)
    fee = gross // 100
    assert hosted.free(hoster) - before == gross - fee
    assert hosted.free_treasury() - treasury == fee
    assert _since(hosted, event.hoster) == hosted.number
    assert hosted.challenge(event.challenge).state is ChallengeState.PASSED
    assert ProofOfStorageConfirmed(event.challenge, event.hoster) in hosted.events


def test_the_encoders_second_half_comes_with_the_first_passed_challenge_only(hosted: World) -> None:
    hosted.work_until(hosted.number + 40)
    encoders = Counter(event.user for event in hosted.seen(Paid) if event.role is Role.ENCODER)
    assert sorted(encoders.values()) == [2, 2, 2]
    assert sum(event.amount for event in hosted.seen(Paid) if event.role is Role.ENCODER) == 3 * 10 * 1_250_000


def test_an_answer_may_come_in_parts(hosted: World) -> None:
    challenge_id, hoster = _first_challenge(hosted)
    evidence = hosted.evidence(challenge_id)
    hosted.do(hoster, "submit_storage_challenge", challenge=challenge_id, evidence=evidence[:4])
    assert hosted.challenge(challenge_id).state is ChallengeState.OPEN
    assert _refused(hosted, hoster, challenge_id, evidence[3:]) is DatDotError.ALREADY_REPORTED
    hosted.do(hoster, "submit_storage_challenge", challenge=challenge_id, evidence=evidence[4:])
    assert hosted.challenge(challenge_id).state is ChallengeState.PASSED


def test_any_flipped_byte_or_path_refuses_all_evidence(hosted: World) -> None:
    challenge_id, hoster = _first_challenge(hosted)
    good = hosted.evidence(challenge_id)
    first = good[0]
    broken = [
        replace(first, leaf=bytes([first.leaf[0] ^ 1]) + first.leaf[1:]),
        replace(first, leaf=first.leaf[:-1]),
        replace(first, leaf=b""),
        replace(first, path=first.path[:-1]),
        replace(first, path=(*first.path, bytes(32))),
        replace(first, path=(bytes(32), *first.path[1:])),
        replace(first, leaf=good[1].leaf, path=good[1].path),
    ]
    for bad in broken:
        assert _refused(hosted, hoster, challenge_id, (*good[1:], bad)) is DatDotError.BAD_PROOF
        if hosted.number >= (hosted.challenge(challenge_id).deadline or 0) - 1:
            break
    assert hosted.seen(ProofOfStorageConfirmed) == []


def test_only_the_challenged_hoster_answers(hosted: World) -> None:
    challenge_id, hoster = _first_challenge(hosted)
    evidence = hosted.evidence(challenge_id)
    other = next(hosted.people[number] for number in range(2, 11) if hosted.people[number] != hoster)
    assert _refused(hosted, other, challenge_id, evidence) is DatDotError.NOT_ASSIGNED
    assert _refused(hosted, hosted.people[33], challenge_id, evidence) is DatDotError.UNKNOWN_USER
    assert _refused(hosted, hoster, 999_999, evidence) is DatDotError.MISSING_CHALLENGE


def test_no_evidence_and_evidence_for_other_checks_are_refused() -> None:
    world = _patient_world()
    challenge_id, hoster = _first_challenge(world)
    good = world.evidence(challenge_id)
    assert _refused(world, hoster, challenge_id, ()) is DatDotError.BAD_PROOF
    assert _refused(world, hoster, challenge_id, (replace(good[0], check=len(good)),)) is DatDotError.BAD_REFERENCE
    assert _refused(world, hoster, challenge_id, (good[0], good[0])) is DatDotError.ALREADY_REPORTED


def test_an_answer_counts_in_the_last_block_and_not_after_it() -> None:
    for late in (0, 1):
        world = _patient_world()
        challenge_id, hoster = _first_challenge(world)
        evidence = world.evidence(challenge_id)
        world.blocks((world.challenge(challenge_id).deadline or 0) - world.number - 1 + late)
        (result,) = world.block(_answering(world, challenge_id, hoster, evidence))
        assert (result.error is None) == (late == 0)
        assert world.challenge(challenge_id).state is (ChallengeState.MISSED if late else ChallengeState.PASSED)


def test_a_challenge_that_is_settled_takes_no_more_evidence(hosted: World) -> None:
    challenge_id, hoster = _first_challenge(hosted)
    evidence = hosted.evidence(challenge_id)
    hosted.do(hoster, "submit_storage_challenge", challenge=challenge_id, evidence=evidence)
    assert _refused(hosted, hoster, challenge_id, evidence) is DatDotError.ALREADY_REPORTED


def test_a_missed_interval_is_never_paid_and_the_next_proof_pays_only_what_follows(hosted: World) -> None:
    hoster_id = hosted.seen(HostingStarted)[0].hoster
    hosted.silent_hosters.add(hoster_id)
    hosted.work_for(lambda: hosted.seen(ChallengeMissed) != [], limit=30)
    missed_in = hosted.number
    assert hosted.seen(ChallengeMissed)[0].misses == 1
    assert _since(hosted, hoster_id) == missed_in
    hosted.silent_hosters.clear()
    before = hosted.free(hosted.person(hoster_id))
    hosted.work_for(lambda: _since(hosted, hoster_id) > missed_in, limit=30)
    gross = 10 * PRICE * (hosted.number - missed_in)
    assert hosted.free(hosted.person(hoster_id)) - before == gross - gross // 100


def test_a_missed_leaf_is_asked_again_until_it_is_shown(hosted: World) -> None:
    challenge_id, hoster = _first_challenge(hosted)
    evidence = hosted.evidence(challenge_id)
    hidden = hosted.challenge(challenge_id).checks[-1]
    hosted.do(hoster, "submit_storage_challenge", challenge=challenge_id, evidence=evidence[:-1])
    hosted.silent_hosters.add(hosted.user_id(hoster))
    hosted.work_for(lambda: hosted.seen(ProofOfStorageFailed) != [], limit=10)
    assert hosted.seen(ProofOfStorageFailed)[0].missing == 1
    hosted.work_for(lambda: any(
        isinstance(event, NewStorageChallenge) and event.hoster == hosted.user_id(hoster) for event in hosted.events
    ), limit=30)
    checks = hosted.challenge(hosted.seen(NewStorageChallenge)[-1].challenge).checks
    assert checks[0] == hidden


def test_three_misses_in_a_row_evict_the_hoster_and_another_takes_over(hosted: World) -> None:
    started = hosted.seen(HostingStarted)[0]
    hosted.silent_hosters.add(started.hoster)
    hosted.work_for(lambda: hosted.seen(DropHosting) != [], limit=60)
    assert [event.misses for event in hosted.seen(ChallengeMissed)] == [1, 2, 3]
    contract = hosted.contract(started.contract)
    assert contract.state is ContractState.DEGRADED
    hosted.work_for(lambda: hosted.contract(started.contract).state is ContractState.HOSTED, limit=10)
    contract = hosted.contract(started.contract)
    assert len(contract.amendments) == 2
    replaced = hosted.amendment(contract.amendments[1])
    assert (replaced.kind, replaced.positions) == (AmendmentKind.REPLACEMENT, (0,))


def test_when_all_three_hosters_are_lost_the_contract_is_set_up_anew(hosted: World) -> None:
    hosters = {event.hoster for event in hosted.seen(HostingStarted)}
    hosted.silent_hosters |= hosters
    hosted.work_for(lambda: len(hosted.seen(DropHosting)) >= 3, limit=90)
    hosted.silent_hosters.clear()
    contract_id = hosted.seen(HostingStarted)[0].contract
    hosted.work_for(lambda: hosted.contract(contract_id).state is ContractState.HOSTED, limit=60)
    assert len(hosted.contract(contract_id).amendments) < 8


def test_a_hoster_that_lost_one_lane_is_paid_for_the_others_and_loses_only_that_one(market: World) -> None:
    market.publish(market.people[1], [(0, 39)], market.number + 300)
    market.work_for(lambda: len(market.seen(HostingStarted)) == 12, limit=12)
    hoster_id, lanes = max(_lanes(market).items(), key=lambda item: len(item[1]))
    assert len(lanes) >= 2
    lost = lanes[0]
    market.bytes_lost.add((lost.contract, lost.position))
    market.work_for(lambda: DropHosting(lost.amendment, lost.contract, hoster_id) in market.history, limit=150)
    dropped = [event for event in market.seen(DropHosting) if event.hoster == hoster_id]
    assert [(event.contract, event.amendment) for event in dropped] == [(lost.contract, lost.amendment)]
    missed = {(event.contract, event.position) for event in market.seen(ChallengeMissed)}
    assert missed == {(lost.contract, lost.position)}
    paid = {event.contract for event in market.seen(Paid) if event.user == hoster_id and event.role is Role.HOSTER}
    assert paid >= {lane.contract for lane in lanes[1:]}


def test_a_hoster_that_answers_nothing_is_paid_for_nothing_even_where_it_was_not_asked() -> None:
    world = World(DatDotConfig(leaves_per_challenge=1))
    world.join(1)
    world.staff(*range(2, 11))
    world.publish(world.people[1], [(0, 39)], world.number + 300)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 12, limit=12)
    hoster_id, lanes = max(_lanes(world).items(), key=lambda item: len(item[1]))
    assert len(lanes) >= 2
    world.silent_hosters.add(hoster_id)
    world.work_for(lambda: any(event.hoster == hoster_id for event in world.seen(ProofOfStorageFailed)), limit=40)
    assert not [event for event in world.seen(Paid) if event.user == hoster_id and event.role is Role.HOSTER]
    assert len([event for event in world.seen(ChallengeMissed) if event.hoster == hoster_id]) == 1
    settled = {
        world.contract(lane.contract).positions[lane.position].since  # type: ignore[union-attr]
        for lane in lanes
    }
    assert settled == {world.number}


def test_the_same_chunks_in_two_contracts_of_one_hoster_are_both_proven() -> None:
    world = World()
    world.join(1)
    world.staff(*range(2, 9))
    for _ in range(2):
        world.publish(world.people[1], [(0, 2)], world.number + 100)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 6, limit=12)
    world.work_until(world.number + 40)
    assert world.seen(ProofOfStorageFailed) == []
    paid = {(event.contract, event.user) for event in world.seen(Paid) if event.role is Role.HOSTER}
    assert len(paid) == 6


def test_five_hundred_challenges_leave_the_storage_of_hosters_as_it_was(hosted: World) -> None:
    before = hosted.run(lambda: list(hosted.market.bookings.items()))
    hosted.check = False
    while len(hosted.seen(ProofOfStorageConfirmed)) < 500:
        hosted.work()
    hosted.try_state()
    assert hosted.run(lambda: list(hosted.market.bookings.items())) == before
    assert len(hosted.run(lambda: list(hosted.market.storage_challenge_by_id.items()))) <= 6


def _patient_world() -> World:
    """A hosted contract whose challenges stay open for long."""
    world = World(DatDotConfig(response_window=20))
    world.join(1)
    world.staff(*range(2, 11))
    world.publish(world.people[1], [(0, 9)], world.number + 300)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3, limit=8)
    return world


def _first_challenge(world: World) -> tuple[int, Person]:
    while not world.seen(NewStorageChallenge):
        world.block()
    event = world.seen(NewStorageChallenge)[0]
    return event.challenge, world.person(event.hoster)


def _answering(
    world: World, challenge_id: int, hoster: Person, evidence: tuple[LeafEvidence, ...] | None = None
) -> tuple[Person, str, dict[str, Any]]:
    given = world.evidence(challenge_id) if evidence is None else evidence
    return hoster, "submit_storage_challenge", {"challenge": challenge_id, "evidence": given}


def _refused(world: World, who: Person, challenge_id: int, evidence: tuple[LeafEvidence, ...]) -> DatDotError:
    return world.refused(who, "submit_storage_challenge", challenge=challenge_id, evidence=evidence)


def _since(world: World, hoster_id: int) -> int:
    lane = world.run(lambda: world.market.hosting.get(hoster_id)).lanes[0]
    position = world.contract(lane.contract).positions[lane.position]
    assert position is not None
    return int(position.since)


def _lanes(world: World) -> dict[int, list[LaneRef]]:
    return {hoster: list(state.lanes) for hoster, state in world.run(lambda: list(world.market.hosting.items()))}

