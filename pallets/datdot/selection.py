"""Choosing providers: who may be drawn, with which weight, and the draw itself, the same on every node.

A draw looks at the idle pool of each role as it was when the draw was frozen: whoever joined later is not counted, and
whoever is booked up by now is out. From a pool larger than `MaxSelectedPerRole` as many entries are drawn first. The
seed is the beacon over the round after the freeze, so nobody knew it when the pool was fixed. What happens between
freeze and draw can only take candidates away; in a pool larger than the limit it may also change which of the others
are looked at, because the last entry takes the seat of one that leaves.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pallets.datdot import items
from pallets.datdot.components import Form, Performance
from pallets.datdot.config import PPM
from pallets.datdot.sealing import CHUNK_MAX_BYTES, max_sealed_bytes
from pallets.datdot.storage import Market
from pallets.datdot.timetables import covers
from pallets.datdot.types import Amendment, Contract, Freeze, Plan, Role, User

PICK_DOMAIN = b"dd/pick"
SAMPLE_DOMAIN = b"dd/sample"
AGAIN_DOMAIN = b"dd/again"
DRAWS_PER_SELECTION = 64
"""How often a selection starts over when a later role cannot be filled."""
UNSHUNNED_FACTOR = 100
"""How much likelier somebody is drawn who did not fail this contract just before."""


@dataclass(frozen=True)
class Providers:
    """User ids in the order of the amendment's positions; attestors in the order of the draw."""

    encoders: tuple[int, ...]
    hosters: tuple[int, ...]
    attestors: tuple[int, ...]


def pick(seed: bytes, role: Role, candidates: Iterable[tuple[int, int]], count: int) -> tuple[int, ...]:
    """Draw `count` of the (id, weight) candidates without replacement; they must be at least as many.

    Draw i: r = BLAKE2b-256("dd/pick" | seed | role u8 | i u32be) mod the weights still in; in order of ids, the first
    whose running sum exceeds r is taken.
    """
    left = sorted(candidates)
    total = sum(weight for _, weight in left)
    chosen = []
    for number in range(count):
        point = _number(PICK_DOMAIN, seed, role, number) % total
        place = 0
        while left[place][1] <= point:
            point -= left[place][1]
            place += 1
        user_id, weight = left.pop(place)
        total -= weight
        chosen.append(user_id)
    return tuple(chosen)


def choose(
    seed: bytes, needs: Mapping[Role, int], candidates: Mapping[Role, Mapping[int, int]]
) -> dict[Role, tuple[int, ...]] | None:
    """Draw as many different users as each role needs, the role with the fewest candidates first; None if it fails.

    When a later role is left without candidates, everything is drawn anew from a seed derived from the first.
    """
    order = sorted((role for role in Role if needs.get(role)), key=lambda role: (len(candidates[role]), role.value))
    everybody = {user_id for role in order for user_id in candidates[role]}
    if len(everybody) < sum(needs.values()) or any(len(candidates[role]) < needs[role] for role in order):
        return None
    for attempt in range(DRAWS_PER_SELECTION):
        chosen = _choose_once(_attempt_seed(seed, attempt), order, needs, candidates)
        if chosen is not None:
            return chosen
    return None


def sample(seed: bytes, role: Role, pool_size: int, limit: int) -> Sequence[int]:
    """Numbers of the pool entries that a draw looks at: all of a small pool, else at most `limit` drawn ones."""
    if pool_size <= limit:
        return range(pool_size)
    return sorted({_number(SAMPLE_DOMAIN, seed, role, number) % pool_size for number in range(limit)})


def select(market: Market, amendment: Amendment, seed: bytes) -> Providers | None:
    """Fill the open seats of a frozen amendment; seats that are filled keep their user if that one is still free."""
    assert amendment.freeze is not None
    contract = market.contract(amendment.contract)
    plan = market.plan(contract.plan)
    search = _Search(market, amendment.freeze, contract, plan, amendment.shunned)
    seats = {Role.ENCODER: amendment.encoders, Role.HOSTER: amendment.hosters, Role.ATTESTOR: amendment.attestors}
    kept = {role: tuple(search.keep(role, user_id) for user_id in users) for role, users in seats.items()}
    taken = {user_id for users in kept.values() for user_id in users if user_id is not None}
    needs = {role: users.count(None) for role, users in kept.items()}
    candidates = {role: search.candidates(role, seed, taken) for role in Role if needs[role]}
    chosen = choose(seed, needs, candidates)
    if chosen is None:
        return None
    filled = {role: _fill(users, chosen.get(role, ())) for role, users in kept.items()}
    return Providers(filled[Role.ENCODER], filled[Role.HOSTER], filled[Role.ATTESTOR])


def working_bytes(market: Market, contract: Contract, role: Role) -> int:
    """Storage set aside for a role in a contract: a lane at its largest, or for an attestor a chunk of every lane."""
    sealed_bytes = max_sealed_bytes(market.config.seal_key_bits)
    if role is Role.ATTESTOR:
        return market.config.hosters_per_contract * (sealed_bytes + CHUNK_MAX_BYTES)
    return contract.chunks * sealed_bytes


class _Search:
    """Who fits one amendment: the conditions of its plan, looked up once."""

    def __init__(
        self, market: Market, freeze: Freeze, contract: Contract, plan: Plan, shunned: Sequence[int]
    ) -> None:
        self.market = market
        self.freeze = freeze
        self.contract = contract
        self.plan = plan
        self.shunned = shunned
        entry = plan.program[contract.entry]
        self.regions = regions_of(market, entry.regions)
        self.wanted = performances_of(market, entry.performances)
        feed = market.feed_by_id.get(contract.feed)
        assert feed is not None
        live = [position for position in contract.positions if position is not None]
        owners = {plan.sponsor, feed.publisher}
        hosters = {position.hoster for position in live}
        self.avoid = {
            Role.ENCODER: owners,
            Role.HOSTER: owners | hosters,
            Role.ATTESTOR: owners | hosters | {position.encoder for position in live},
        }

    def candidates(self, role: Role, seed: bytes, taken: set[int]) -> dict[int, int]:
        """Weights of the users of a role who may be drawn, by id."""
        limit = self.market.config.max_selected_per_role
        weights = {}
        for seat in sample(seed, role, self.market.pool_size.get(role), limit):
            entry = self.market.pool.get(role, seat)
            assert entry is not None
            if entry.joined < self.freeze.block and entry.user not in taken:
                weight = self.weight(role, entry.user)
                if weight:
                    weights[entry.user] = weight
        return weights

    def keep(self, role: Role, user_id: int | None) -> int | None:
        """A user who sat in the seat before, if that one is still free and fits."""
        if user_id is None:
            return None
        data = self.market.roles.get(role, user_id)
        free = data is not None and data.used < data.capacity
        return user_id if free and self.weight(role, user_id) else None

    def weight(self, role: Role, user_id: int) -> int:
        """The weight of a user with a free slot, 0 for one who does not fit."""
        if user_id in self.avoid[role]:
            return 0
        user = self.market.user(user_id)
        form_item = None if user.form is None else self.market.item_by_id.get(user.form)
        if not isinstance(form_item, items.Form) or not self._has_room(role, user_id, user):
            return 0
        form = form_item.value
        if not self._is_there(role, form) or not self._accepts(role, form):
            return 0
        if not in_region(regions_of(self.market, form.regions), self.regions):
            return 0
        promised = performances_of(self.market, form.performances)
        if not all(any(_reaches(offer, wanted) for offer in promised) for wanted in self.wanted):
            return 0
        availability = max((offer.availability for offer in promised), default=0)
        bandwidth = max((offer.bandwidth for offer in promised), default=0)
        wanted_bandwidth = max((wanted.bandwidth for wanted in self.wanted), default=0)
        speed = min(PPM, bandwidth * PPM // wanted_bandwidth) if wanted_bandwidth else PPM
        weight = 1 + availability * 200 // PPM + speed * 200 // PPM
        return weight if user_id in self.shunned else weight * UNSHUNNED_FACTOR

    def _has_room(self, role: Role, user_id: int, user: User) -> bool:
        booked = self.market.bookings.get(user_id).storage
        return booked + working_bytes(self.market, self.contract, role) <= user.storage

    def _is_there(self, role: Role, form: Form) -> bool:
        """Encoders and attestors must be there while they work, hosters until the plan ends."""
        now, config = self.market.now(), self.market.config
        last = {
            Role.ENCODER: now + config.encoding_duration,
            Role.HOSTER: self.plan.until,
            Role.ATTESTOR: now + config.attesting_duration,
        }[role]
        if now < form.from_ or (form.until is not None and form.until < last):
            return False
        hours = [self.market.item_by_id.get(item_id) for item_id in form.timetables]
        windows = [item.value for item in hours if isinstance(item, items.Timetable)]
        return not windows or any(covers(window, form.from_, now, last) for window in windows)

    def _accepts(self, role: Role, form: Form) -> bool:
        prices = self.plan.prices
        return {
            Role.ENCODER: form.ask.encoding <= prices.encoding,
            Role.HOSTER: form.ask.hosting <= prices.hosting,
            Role.ATTESTOR: form.ask.attesting <= prices.attesting,
        }[role]


def regions_of(market: Market, ids: Sequence[int]) -> tuple[str, ...]:
    """The geohashes behind region ids."""
    found = (market.item_by_id.get(item_id) for item_id in ids)
    return tuple(item.value.geohash for item in found if isinstance(item, items.Region))


def performances_of(market: Market, ids: Sequence[int]) -> tuple[Performance, ...]:
    """The values behind performance ids."""
    found = (market.item_by_id.get(item_id) for item_id in ids)
    return tuple(item.value for item in found if isinstance(item, items.Performance))


def in_region(offered: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether an offered place lies in a wanted one; nothing wanted means anywhere, no place offered means unknown."""
    if not wanted:
        return True
    return any(place.startswith(area) for place in offered or ("",) for area in wanted)


def _reaches(offer: Performance, wanted: Performance) -> bool:
    return (
        offer.availability >= wanted.availability
        and offer.bandwidth >= wanted.bandwidth
        and (wanted.latency_ms == 0 or offer.latency_ms <= wanted.latency_ms)
    )


def _choose_once(
    seed: bytes, order: Sequence[Role], needs: Mapping[Role, int], candidates: Mapping[Role, Mapping[int, int]]
) -> dict[Role, tuple[int, ...]] | None:
    taken: set[int] = set()
    chosen = {}
    for role in order:
        left = [(user_id, weight) for user_id, weight in candidates[role].items() if user_id not in taken]
        if len(left) < needs[role]:
            return None
        chosen[role] = pick(seed, role, left, needs[role])
        taken.update(chosen[role])
    return chosen


def _fill(seats: Sequence[int | None], chosen: Sequence[int]) -> tuple[int, ...]:
    newcomers = iter(chosen)
    return tuple(next(newcomers) if user_id is None else user_id for user_id in seats)


def _attempt_seed(seed: bytes, attempt: int) -> bytes:
    if attempt == 0:
        return seed
    return hashlib.blake2b(AGAIN_DOMAIN + seed + bytes([attempt]), digest_size=32).digest()


def _number(domain: bytes, seed: bytes, role: Role, number: int) -> int:
    data = domain + seed + bytes([role.value]) + number.to_bytes(4, "big")
    return int.from_bytes(hashlib.blake2b(data, digest_size=32).digest(), "big")
