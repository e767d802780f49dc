"""What services ask: duties are rebuilt from the state alone."""

from pallets.datdot.events import HostingStarted, NewAmendment, NewStorageChallenge
from pallets.datdot.queries import Duties, duties_of, position_of
from pallets.datdot.types import PlanState, Role
from tests.pallets.datdot.world import World


def _duties(world: World, user_id: int) -> Duties:
    duties: Duties = world.run(lambda: duties_of(world.market, user_id))
    return duties


def test_nobody_owes_anything_in_an_empty_market(world: World) -> None:
    assert _duties(world, 1) == Duties((), (), ())


def test_a_running_setup_is_a_duty_of_all_seven_with_their_positions(market: World) -> None:
    market.publish(market.people[1], [(0, 9)], 200)
    while not market.seen(NewAmendment):
        market.block()
    amendment_id = market.seen(NewAmendment)[0].amendment
    amendment = market.amendment(amendment_id)
    for role, users in ((Role.ENCODER, amendment.encoders), (Role.HOSTER, amendment.hosters)):
        for position, user_id in zip(amendment.positions, users, strict=True):
            (duty,) = _duties(market, user_id or 0).setups
            assert (duty.amendment_id, duty.role, duty.position) == (amendment_id, role, position)
    (duty,) = _duties(market, amendment.attestors[0] or 0).setups
    assert (duty.role, duty.position, duty.amendment) == (Role.ATTESTOR, None, amendment)
    assert position_of(amendment, Role.HOSTER, amendment.encoders[0] or 0) is None
    assert _duties(market, market.user_id(market.people[1])) == Duties((), (), ())


def test_lanes_and_open_challenges_are_duties_of_their_hoster_until_the_end(market: World) -> None:
    plan_id = market.publish(market.people[1], [(0, 9)], market.number + 40)
    market.work_for(lambda: len(market.seen(HostingStarted)) == 3, limit=8)
    hosters = [event.hoster for event in market.seen(HostingStarted)]
    for position, hoster in enumerate(hosters):
        duties = _duties(market, hoster)
        assert duties.setups == ()
        assert [(lane.contract, lane.position) for lane in duties.lanes] == [
            (market.seen(HostingStarted)[0].contract, position)
        ]
    while not market.seen(NewStorageChallenge):
        market.block()
    event = market.seen(NewStorageChallenge)[0]
    assert [challenge_id for challenge_id, _ in _duties(market, event.hoster).challenges] == [event.challenge]
    market.work_until(market.plan(plan_id).until)
    closing = [_duties(market, hoster) for hoster in hosters]
    assert all(len(duties.lanes) == 1 for duties in closing)
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=20)
    assert all(_duties(market, hoster) == Duties((), (), ()) for hoster in hosters)
