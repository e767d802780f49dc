"""Proof of storage: asking a hoster for leaves that nobody could foresee, checking the answers, settling its lanes.

One challenge is about all bytes of a hoster: every byte is drawn with the same chance, so work and traffic grow with
the hosters, not with the contracts. It settles all their lanes. A lane that ends gets a last challenge of its own. The
work of a challenge is bounded by the hoster's slots (`MaxHostingSlots`); nothing walks over the market.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pallets.datdot import agenda, hosting, items, rewards, waiting
from pallets.datdot.components import LeafEvidence
from pallets.datdot.events import (
    ChallengeMissed,
    DatDotError,
    NewStorageChallenge,
    ProofOfStorageConfirmed,
    ProofOfStorageFailed,
)
from pallets.datdot.sealing import LaneCommitment, leaf_of_byte
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    ChallengeState,
    Check,
    Freeze,
    Hosting,
    ItemId,
    LaneRef,
    Position,
    Role,
    StorageChallenge,
)
from runtime.errors import ensure

CHALLENGE_SUBJECT = b"dd/challenge"
DRAW_DOMAIN = b"dd/sc"


def request(market: Market, hoster: int) -> None:
    """A hoster's next challenge is due: freeze what it stores now, and wait for the randomness."""
    state = replace(market.hosting.get(hoster), waiting=False)
    if state.lanes and state.challenge is None:
        state = replace(state, challenge=_freeze(market, hoster, None))
    market.hosting.put(hoster, state)


def request_closing(market: Market, contract_id: int, number: int, position: Position) -> None:
    """Freeze the last challenge of a lane; regular challenges no longer ask for it."""
    lane = LaneRef(contract_id, number, position.amendment, position.encoded_bytes, position.since)
    challenge_id = _freeze(market, position.hoster, lane)
    state = hosting.withdraw_lane(market.hosting.get(position.hoster), contract_id, number)
    market.hosting.put(position.hoster, replace(state, closing=(*state.closing, challenge_id)))


def open_ready(market: Market) -> int:
    """Open the frozen challenges whose randomness is complete, at most `DrawsPerBlock`; returns how many."""
    for done in range(market.config.draws_per_block):
        challenge_id = waiting.peek(market, agenda.Line.CHALLENGE_DRAWS)
        if challenge_id is None:
            return done
        challenge = market.challenge(challenge_id)
        seed = market.randomness.seed(challenge.freeze.slot, CHALLENGE_SUBJECT + challenge_id.to_bytes(8, "big"))
        if seed is None:
            return done
        waiting.pop(market, agenda.Line.CHALLENGE_DRAWS)
        _open(market, challenge_id, challenge, seed)
    return market.config.draws_per_block


def draw_checks(seed: bytes, challenge_id: int, lanes: Sequence[LaneRef], count: int) -> tuple[Check, ...]:
    """The leaves that hold `count` drawn bytes of the lanes, each leaf once, in the order of the draw.

    Draw j: byte BLAKE2b-256("dd/sc" | seed | challenge u64be | j u32be) mod all bytes, lanes one after another.
    """
    total = sum(lane.encoded_bytes for lane in lanes)
    checks: dict[Check, None] = {}
    for number in range(count):
        data = DRAW_DOMAIN + seed + challenge_id.to_bytes(8, "big") + number.to_bytes(4, "big")
        offset = int.from_bytes(hashlib.blake2b(data, digest_size=32).digest(), "big") % total
        place = 0
        while offset >= lanes[place].encoded_bytes:
            offset -= lanes[place].encoded_bytes
            place += 1
        lane = lanes[place]
        leaf = leaf_of_byte(lane.encoded_bytes, offset)
        checks[Check(lane.contract, lane.position, lane.amendment, leaf)] = None
    return tuple(checks)


def answer(market: Market, user_id: int, challenge_id: int, evidence: Sequence[LeafEvidence]) -> None:
    """Take in a hoster's answers, all of them or none; the last missing one settles the challenge."""
    challenge = market.storage_challenge_by_id.get(challenge_id)
    ensure(challenge is not None, DatDotError.MISSING_CHALLENGE)
    assert challenge is not None
    ensure(challenge.hoster == user_id, DatDotError.NOT_ASSIGNED)
    ensure(challenge.state is not ChallengeState.DRAWING, DatDotError.TOO_EARLY)
    ensure(challenge.state is ChallengeState.OPEN, DatDotError.ALREADY_REPORTED)
    assert challenge.deadline is not None
    ensure(market.now() <= challenge.deadline, DatDotError.EXPIRED)
    ensure(len(evidence) > 0, DatDotError.BAD_PROOF)
    answered, proven = list(challenge.answered), False
    for item in evidence:
        ensure(item.check < len(challenge.checks), DatDotError.BAD_REFERENCE)
        ensure(not answered[item.check], DatDotError.ALREADY_REPORTED)
        position = _position_of(market, challenge.checks[item.check])
        if position is not None:
            ensure(_holds(position, challenge.checks[item.check], item), DatDotError.BAD_PROOF)
            proven = True
        answered[item.check] = True
    # Leaves of lanes that ended meanwhile need no proof; an answer that brings nothing else must not be free.
    ensure(proven, DatDotError.EXPIRED)
    challenge = replace(challenge, answered=tuple(answered))
    market.storage_challenge_by_id.put(challenge_id, challenge)
    if all(done for _, done in _watched(market, challenge)):
        settle(market, challenge_id)


def settle(market: Market, challenge_id: int) -> None:
    """End an open challenge, answered or at its deadline: pay what is proven, count what is missing."""
    challenge = market.storage_challenge_by_id.get(challenge_id)
    if challenge is None or challenge.state is not ChallengeState.OPEN:
        return
    watched = _watched(market, challenge)
    missing = tuple(check for check, done in watched if not done)
    if missing:
        state = ChallengeState.MISSED
        market.deposit_event(ProofOfStorageFailed(challenge_id, challenge.hoster, len(missing)))
    elif watched:
        state = ChallengeState.PASSED
        market.deposit_event(ProofOfStorageConfirmed(challenge_id, challenge.hoster))
    else:
        state = ChallengeState.VOID
    market.storage_challenge_by_id.put(challenge_id, replace(challenge, state=state))
    if challenge.closing is not None:
        _settle_closing(market, challenge_id, challenge.hoster, challenge.closing, bool(missing))
    else:
        if state is not ChallengeState.VOID:
            _settle_lanes(market, challenge_id, challenge, missing)
        _ask_again(market, challenge_id, challenge, missing)


def _settle_lanes(market: Market, challenge_id: int, challenge: StorageChallenge, missing: tuple[Check, ...]) -> None:
    """Settle every lane that was there at the freeze.

    A hoster that answered nothing at all has proven nothing: lanes that happened not to be asked forfeit the interval
    too, but only lanes that were asked count a miss. (When every lane that was asked has ended, the challenge is void:
    nothing was proven and nothing missed, so the next one settles the interval.)
    """
    hoster = challenge.hoster
    failed = {(check.contract, check.position) for check in missing}
    silent = bool(missing) and not any(challenge.answered)
    for lane in market.hosting.get(hoster).lanes:
        if lane.started >= challenge.freeze.block:
            continue
        if (lane.contract, lane.position) in failed:
            _miss(market, challenge_id, hoster, lane)
        elif silent:
            _forfeit(market, lane)
        else:
            _pay(market, lane)


def _ask_again(market: Market, challenge_id: int, challenge: StorageChallenge, missing: tuple[Check, ...]) -> None:
    """Put a hoster's next challenge into the calendar, which will ask for the missing leaves again."""
    hoster = challenge.hoster
    state = market.hosting.get(hoster)
    kept = {(lane.contract, lane.position) for lane in state.lanes}
    owed = tuple(check for check in missing if (check.contract, check.position) in kept)
    state = replace(state, challenge=None, owed=owed)
    if state.lanes:
        assert challenge.seed is not None
        state = hosting.schedule_challenge(market, hoster, state, challenge.seed)
    _retire(market, hoster, state, challenge_id)


def _settle_closing(market: Market, challenge_id: int, hoster: int, lane: LaneRef, failed: bool) -> None:
    if failed:
        misses = _forfeit(market, lane).misses + 1
        market.deposit_event(ChallengeMissed(challenge_id, hoster, lane.contract, lane.position, misses))
    else:
        _pay(market, lane)
    hosting.end_lane(market, lane.contract, lane.position)
    state = market.hosting.get(hoster)
    closing = tuple(other for other in state.closing if other != challenge_id)
    _retire(market, hoster, replace(state, closing=closing), challenge_id)


def _freeze(market: Market, hoster: int, closing: LaneRef | None) -> ItemId:
    challenge_id = market.new_id(items.StorageChallenge())
    challenge = StorageChallenge(
        hoster=hoster,
        closing=closing,
        freeze=Freeze(market.randomness.freeze(), market.now()),
        seed=None,
        checks=(),
        answered=(),
        opened=None,
        deadline=None,
        state=ChallengeState.DRAWING,
    )
    market.storage_challenge_by_id.put(challenge_id, challenge)
    waiting.push(market, agenda.Line.CHALLENGE_DRAWS, challenge_id)
    return challenge_id


def _open(market: Market, challenge_id: int, challenge: StorageChallenge, seed: bytes) -> None:
    """Draw the leaves over the lanes that were there at the freeze and still are; ask for owed ones first."""
    hoster, config = challenge.hoster, market.config
    state = market.hosting.get(hoster)
    lanes: Sequence[LaneRef]
    owed: tuple[Check, ...]
    if challenge.closing is not None:
        lanes, owed, window = (challenge.closing,), (), 2 * config.response_window
    else:
        lanes = [lane for lane in state.lanes if lane.started < challenge.freeze.block]
        owed, window = state.owed, config.response_window
    if not lanes:
        market.storage_challenge_by_id.put(challenge_id, replace(challenge, state=ChallengeState.VOID))
        state = replace(state, challenge=None)
        if state.lanes:
            state = hosting.schedule_challenge(market, hoster, state, seed)
        _retire(market, hoster, state, challenge_id)
        return
    drawn = draw_checks(seed, challenge_id, lanes, config.leaves_per_challenge)
    checks = tuple(dict.fromkeys((*owed, *drawn)))
    deadline = market.now() + window
    opened = replace(
        challenge,
        seed=seed,
        checks=checks,
        answered=(False,) * len(checks),
        opened=market.now(),
        deadline=deadline,
        state=ChallengeState.OPEN,
    )
    market.storage_challenge_by_id.put(challenge_id, opened)
    waiting.schedule(market, deadline + 1, agenda.CloseChallenge(challenge_id))
    market.deposit_event(NewStorageChallenge(challenge_id, hoster, deadline))


def _holds(position: Position, check: Check, evidence: LeafEvidence) -> bool:
    commitment = LaneCommitment(position.root, position.leaves, position.encoded_bytes, position.key_hash)
    return commitment.verify_leaf(check.amendment, check.position, check.leaf, evidence.leaf, evidence.path)


def _watched(market: Market, challenge: StorageChallenge) -> tuple[tuple[Check, bool], ...]:
    """Checks that count, and whether they are answered: those of lanes that this kind of challenge still settles."""
    lanes = market.hosting.get(challenge.hoster).lanes if challenge.closing is None else (challenge.closing,)
    watched = {(lane.contract, lane.position, lane.amendment) for lane in lanes}
    asked = zip(challenge.checks, challenge.answered, strict=True)
    return tuple(pair for pair in asked if (pair[0].contract, pair[0].position, pair[0].amendment) in watched)


def _position_of(market: Market, lane: Check | LaneRef) -> Position | None:
    """The live position that a check or lane means, none if it has ended."""
    position = market.contract(lane.contract).positions[lane.position]
    return position if position is not None and position.amendment == lane.amendment else None


def _pay(market: Market, lane: LaneRef) -> None:
    """Pay a proven lane since its last settlement, and its encoder's second half the first time."""
    contract = market.contract(lane.contract)
    plan = market.plan(contract.plan)
    position = _position_of(market, lane)
    assert position is not None
    now = max(position.since, min(market.now(), plan.until))
    _put(market, lane, replace(position, since=now, misses=0, proven=True))
    gross = contract.chunks * plan.prices.hosting * (now - position.since)
    rewards.pay_hoster(market, contract.plan, lane.contract, position.hoster, gross)
    if not position.proven:
        second_half = rewards.encoder_halves(contract.chunks, plan.prices.encoding)[1]
        rewards.pay_setup(market, contract.plan, lane.contract, position.encoder, Role.ENCODER, second_half)


def _forfeit(market: Market, lane: LaneRef) -> Position:
    """Settle a lane without pay."""
    position = _position_of(market, lane)
    assert position is not None
    plan = market.plan(market.contract(lane.contract).plan)
    settled = replace(position, since=max(position.since, min(market.now(), plan.until)))
    _put(market, lane, settled)
    return settled


def _miss(market: Market, challenge_id: int, hoster: int, lane: LaneRef) -> None:
    position = _forfeit(market, lane)
    misses = position.misses + 1
    _put(market, lane, replace(position, misses=misses))
    market.deposit_event(ChallengeMissed(challenge_id, hoster, lane.contract, lane.position, misses))
    if misses >= market.config.evict_after_misses:
        hosting.evict(market, lane.contract, lane.position)


def _put(market: Market, lane: LaneRef, position: Position) -> None:
    contract = market.contract(lane.contract)
    positions = tuple(position if at == lane.position else other for at, other in enumerate(contract.positions))
    market.contract_by_id.put(lane.contract, replace(contract, positions=positions))


def _retire(market: Market, hoster: int, state: Hosting, challenge_id: int) -> None:
    """Keep the challenge that was settled last for whoever asks, and forget the one before."""
    if state.settled is not None:
        market.storage_challenge_by_id.remove(state.settled)
        market.forget(state.settled)
    market.hosting.put(hoster, replace(state, settled=challenge_id))
