"""Joining the market and offering work."""

from dataclasses import replace
from typing import Any

import pytest

from pallets.datdot import items
from pallets.datdot.components import Components, Performance, Region, Resources, RoleOffer, Timetable
from pallets.datdot.events import DatDotError, NewUser, Registered
from pallets.datdot.types import Role
from tests.pallets.datdot.people import GIB, Person, offer_arguments
from tests.pallets.datdot.world import World

STORAGE = Resources(GIB, 1, 1)


def test_a_new_user_is_found_by_account_and_by_both_keys(world: World) -> None:
    world.join(1)
    person = world.people[1]
    user_id = world.user_id(person)
    assert world.seen(NewUser) == [NewUser(user_id)]
    assert user_id == 1
    assert world.run(lambda: world.market.user_id_by_noise_key.get(person.noise.public_key)) == user_id
    assert world.run(lambda: world.market.user_id_by_signing_key.get(person.signing.public_key)) == user_id
    assert world.run(lambda: world.market.item_by_id.get(user_id)) == items.User()


def test_an_account_joins_once(world: World) -> None:
    world.join(1)
    assert _refused(world, *world.joining(world.people[1])) is DatDotError.DUPLICATE_USER


@pytest.mark.parametrize("key", ["noise_key", "signing_key"])
def test_a_key_belongs_to_one_user(world: World, key: str) -> None:
    world.join(1)
    taken = world.joining(world.people[1])[2][key]
    person, function, arguments = world.joining(world.people[2])
    assert _refused(world, person, function, arguments | {key: taken}) is DatDotError.KEY_IN_USE


@pytest.mark.parametrize("which", ["noise", "signing"])
def test_a_key_must_sign_for_the_account_on_this_chain(world: World, which: str) -> None:
    person, function, arguments = world.joining(world.people[1])
    stranger = world.joining(world.people[2])[2]
    for proof in (getattr(stranger["key_proofs"], which), bytes(64)):
        forged = arguments | {"key_proofs": replace(arguments["key_proofs"], **{which: proof})}
        assert _refused(world, person, function, forged) is DatDotError.BAD_SIGNATURE


def test_the_signature_of_one_key_does_not_serve_for_the_other(world: World) -> None:
    person, function, arguments = world.joining(world.people[1])
    proofs = arguments["key_proofs"]
    same_key = arguments | {"signing_key": arguments["noise_key"], "key_proofs": replace(proofs, signing=proofs.noise)}
    assert _refused(world, person, function, same_key) is DatDotError.BAD_SIGNATURE


def test_an_offer_puts_a_provider_into_the_pools_of_its_roles(world: World) -> None:
    world.staff(1, roles=(Role.HOSTER, Role.ENCODER), capacity=3)
    user_id = world.user_id(world.people[1])
    (event,) = world.seen(Registered)
    assert (event.user, event.roles) == (user_id, (Role.ENCODER, Role.HOSTER))
    assert _pool(world) == {Role.ENCODER: 1, Role.HOSTER: 1, Role.ATTESTOR: 0}
    form = world.run(lambda: world.market.item_by_id.get(event.form))
    assert isinstance(form, items.Form)
    assert form.value.from_ == world.number


def test_a_repeated_offer_replaces_the_form_and_keeps_other_roles(world: World) -> None:
    world.staff(1, roles=(Role.HOSTER,), capacity=3)
    world.do(world.people[1], "register_for_work", **offer_arguments((Role.ENCODER,), 2, storage=5 * GIB))
    user = world.run(lambda: world.market.user(world.user_id(world.people[1])))
    assert user.storage == 5 * GIB
    assert _pool(world) == {Role.ENCODER: 1, Role.HOSTER: 1, Role.ATTESTOR: 0}
    world.do(world.people[1], "register_for_work", **offer_arguments((Role.HOSTER,), 0))
    assert _pool(world) == {Role.ENCODER: 1, Role.HOSTER: 0, Role.ATTESTOR: 0}


def test_leaving_a_pool_moves_nobody_else_out(world: World) -> None:
    world.staff(1, 2, 3, roles=(Role.HOSTER,))
    world.do(world.people[1], "register_for_work", **offer_arguments((Role.HOSTER,), 0))
    entries = world.run(lambda: [world.market.pool.get(Role.HOSTER, seat) for seat in range(2)])
    assert {entry.user for entry in entries if entry} == {world.user_id(world.people[number]) for number in (2, 3)}


def test_equal_components_are_stored_once(world: World) -> None:
    world.staff(1, 2)
    first, second = (event.form for event in world.seen(Registered))
    assert first == second
    assert len(world.run(lambda: list(world.market.component_by_hash.items()))) == 2


def test_a_stored_component_is_named_by_its_id(world: World) -> None:
    world.staff(1)
    stored = world.run(lambda: world.market.item_by_id.get(world.seen(Registered)[0].form)).value.resources
    world.join(2)
    world.do(
        world.people[2],
        "register_for_work",
        **offer_arguments(tuple(Role), 1, components=Components(), resources=stored),
    )
    assert world.run(lambda: world.market.user(world.user_id(world.people[2])).storage) == GIB


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"resources": 0}, DatDotError.BAD_REFERENCE),
        ({"resources": -2}, DatDotError.BAD_REFERENCE),
        ({"resources": 999}, DatDotError.BAD_REFERENCE),
        ({"resources": 1}, DatDotError.WRONG_TYPE),
        ({"timetables": (-1,)}, DatDotError.BAD_REFERENCE),
        ({"regions": (1,)}, DatDotError.WRONG_TYPE),
        ({"until": 2}, DatDotError.BAD_TIMES),
        ({"from_": 50, "until": 50}, DatDotError.BAD_TIMES),
        ({"components": Components(resources=(STORAGE,), timetables=(Timetable(0, 0, 1, None),))},
         DatDotError.BAD_COMPONENT),
        ({"components": Components(resources=(STORAGE,), regions=(Region("a0k"),))}, DatDotError.BAD_COMPONENT),
        ({"components": Components(resources=(STORAGE,), performances=(Performance(1_000_001, 1, 1),))},
         DatDotError.BAD_COMPONENT),
    ],
)
def test_a_bad_offer_is_refused_and_writes_nothing(world: World, change: dict[str, Any], error: DatDotError) -> None:
    world.join(1)
    arguments = offer_arguments(tuple(Role), 1, **change)
    assert _refused(world, world.people[1], "register_for_work", arguments) is error


def test_a_capacity_above_the_limit_or_a_role_twice_is_refused(world: World) -> None:
    world.join(1)
    for roles in ((RoleOffer(Role.HOSTER, 257),), (RoleOffer(Role.HOSTER, 1), RoleOffer(Role.HOSTER, 2))):
        arguments = offer_arguments((), 0) | {"roles": roles}
        assert _refused(world, world.people[1], "register_for_work", arguments) is DatDotError.LIMIT_EXCEEDED


def test_strangers_cannot_offer_work(world: World) -> None:
    arguments = offer_arguments(tuple(Role), 1)
    assert _refused(world, world.people[1], "register_for_work", arguments) is DatDotError.UNKNOWN_USER


def test_an_offer_cannot_fall_below_running_jobs(market: World) -> None:
    market.publish(market.people[1], [(0, 9)], market.number + 60)
    market.work_for(lambda: bool(market.seen(Registered)) and _hosters(market) != [], limit=10)
    hoster = market.person(_hosters(market)[0])
    for arguments in (offer_arguments((Role.HOSTER,), 0), offer_arguments((), 0, storage=1)):
        assert _refused(market, hoster, "register_for_work", arguments) is DatDotError.BUSY


def _hosters(world: World) -> list[int]:
    return [hoster for hoster, state in world.run(lambda: list(world.market.hosting.items())) if state.lanes]


def _pool(world: World) -> dict[Role, int]:
    sizes: dict[Role, int] = world.run(lambda: {role: world.market.pool_size.get(role) for role in Role})
    return sizes


def _refused(world: World, who: Person, function: str, arguments: dict[str, Any]) -> DatDotError:
    return world.refused(who, function, **arguments)
