"""The draw: exact, the same everywhere, and nobody twice."""

import random
from collections import Counter

import pytest

from pallets.datdot.selection import choose, in_region, pick, sample
from pallets.datdot.types import Role

ZERO = bytes(32)


def test_the_draw_gives_the_published_vector() -> None:
    assert pick(ZERO, Role.HOSTER, [(3, 500), (5, 700), (8, 100), (9, 900)], 3) == (9, 5, 3)


def test_the_order_in_which_candidates_are_listed_does_not_matter() -> None:
    assert pick(ZERO, Role.HOSTER, [(9, 900), (3, 500), (8, 100), (5, 700)], 3) == (9, 5, 3)


@pytest.mark.parametrize("role", [Role.ENCODER, Role.ATTESTOR])
def test_another_role_draws_differently_from_the_same_seed(role: Role) -> None:
    many = [(number, 100) for number in range(1, 200)]
    assert pick(ZERO, role, many, 5) != pick(ZERO, Role.HOSTER, many, 5)


def test_weights_are_chances() -> None:
    counts = Counter(
        pick(number.to_bytes(32, "big"), Role.HOSTER, [(1, 100), (2, 300)], 1)[0] for number in range(4_000)
    )
    assert 2_850 < counts[2] < 3_150


def test_seven_providers_are_distinct_for_ten_thousand_pools_and_drawn_alike_on_two_nodes() -> None:
    dice = random.Random(7)
    needs = {Role.ENCODER: 3, Role.HOSTER: 3, Role.ATTESTOR: 1}
    failures = 0
    for _ in range(10_000):
        candidates = {
            role: {dice.randrange(1, 30): dice.randrange(1, 50_000) for _ in range(dice.randrange(1, 12))}
            for role in Role
        }
        seed = dice.randbytes(32)
        chosen = choose(seed, needs, candidates)
        shuffled = {role: dict(reversed(candidates[role].items())) for role in reversed(Role)}
        assert choose(seed, needs, shuffled) == chosen
        if chosen is None:
            failures += 1
            continue
        users = [user_id for role in Role for user_id in chosen[role]]
        assert len(set(users)) == 7
        assert [len(chosen[role]) for role in Role] == [3, 3, 1]
        assert all(user_id in candidates[role] for role in Role for user_id in chosen[role])
    assert 0 < failures < 6_000


def test_a_role_that_needs_the_others_candidates_is_filled_by_drawing_again() -> None:
    candidates = {
        Role.ENCODER: {1: 1, 2: 1, 3: 1, 4: 1},
        Role.HOSTER: {4: 1, 5: 1, 6: 1, 7: 1, 8: 1},
        Role.ATTESTOR: {1: 1, 2: 1, 3: 1, 4: 1, 9: 1},
    }
    needs = {Role.ENCODER: 3, Role.HOSTER: 4, Role.ATTESTOR: 1}
    for number in range(200):
        chosen = choose(number.to_bytes(32, "big"), needs, candidates)
        assert chosen is not None
        assert len({user_id for users in chosen.values() for user_id in users}) == 8


@pytest.mark.parametrize(
    "candidates",
    [
        {Role.ENCODER: {1: 5}, Role.HOSTER: {2: 5}, Role.ATTESTOR: {}},
        {Role.ENCODER: {1: 5}, Role.HOSTER: {1: 5}, Role.ATTESTOR: {2: 5}},
        {Role.ENCODER: {1: 5, 2: 5}, Role.HOSTER: {1: 5}, Role.ATTESTOR: {1: 5}},
    ],
)
def test_too_few_people_are_not_enough(candidates: dict[Role, dict[int, int]]) -> None:
    assert choose(ZERO, {Role.ENCODER: 1, Role.HOSTER: 1, Role.ATTESTOR: 1}, candidates) is None


def test_a_small_pool_is_looked_at_whole_and_a_large_one_in_part() -> None:
    assert list(sample(ZERO, Role.HOSTER, 300, 300)) == list(range(300))
    drawn = sample(ZERO, Role.HOSTER, 100_000, 300)
    assert list(drawn) == sorted(set(drawn))
    assert 290 <= len(drawn) <= 300
    assert max(drawn) > 90_000
    assert sample(b"\1" * 32, Role.HOSTER, 100_000, 300) != drawn


@pytest.mark.parametrize(
    ("offered", "wanted", "fits"),
    [
        ((), (), True),
        ((), ("u33",), False),
        ((), ("",), True),
        (("u33db",), ("u33",), True),
        (("u33",), ("u33db",), False),
        (("9q8", "u33d"), ("u3", "s"), True),
        (("9q8",), ("u3", "s"), False),
    ],
)
def test_a_place_is_in_a_region_when_its_geohash_begins_with_the_regions(
    offered: tuple[str, ...], wanted: tuple[str, ...], fits: bool
) -> None:
    assert in_region(offered, wanted) is fits
