"""Duties run as long as the chain wants them: started once, cancelled when over, tried again after a crash."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise

import pytest
import trio
import trio.testing

from node.roles import limits
from node.roles.retry import Backoff, BlockClock, Duty, DutyRunner


class Work:
    """A duty that counts its beginnings and ends as a test says."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.fail: Exception | None = None
        self.finish = trio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.fail is not None:
            raise self.fail
        try:
            await self.finish.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def wanted(**duties: Work) -> dict[Hashable, Duty]:
    return {name: work.run for name, work in duties.items()}


async def test_duty_is_started_once_while_it_is_wanted(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        runner, work = DutyRunner(nursery, "test"), Work()
        for _ in range(3):
            runner.reconcile(wanted(work=work))
            await settle()
        assert (work.begun, runner.running) == (1, ("work",))
        nursery.cancel_scope.cancel()


async def test_duty_that_ended_well_is_not_repeated(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        runner, work = DutyRunner(nursery, "test"), Work()
        work.finish.set()
        for _ in range(3):
            runner.reconcile(wanted(work=work))
            await settle()
        assert (work.begun, runner.running) == (1, ())


async def test_duty_that_is_no_longer_wanted_is_cancelled_and_may_come_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        runner, work = DutyRunner(nursery, "test"), Work()
        runner.reconcile(wanted(work=work))
        await settle()
        runner.reconcile({})
        await settle()
        assert (work.begun, work.cancelled, runner.running) == (1, 1, ())
        runner.reconcile(wanted(work=work))
        await settle()
        assert (work.begun, runner.running) == (2, ("work",))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [RuntimeError("broken"), ExceptionGroup("group", [ValueError("broken")])])
async def test_crashed_duty_is_tried_again_after_a_pause_and_leaves_others_alone(
    autojump_clock: trio.testing.MockClock, error: Exception
) -> None:
    async with trio.open_nursery() as nursery:
        runner, broken, other = DutyRunner(nursery, "test"), Work(), Work()
        broken.fail = error
        runner.reconcile(wanted(broken=broken, other=other))
        await settle()
        runner.reconcile(wanted(broken=broken, other=other))
        await settle()
        assert (broken.begun, runner.running) == (1, ("other",))
        await trio.sleep(limits.RETRY_FIRST_SECONDS)
        broken.fail = None
        runner.reconcile(wanted(broken=broken, other=other))
        await settle()
        assert (broken.begun, other.begun) == (2, 1)
        assert set(runner.running) == {"broken", "other"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [OSError("closed"), ExceptionGroup("group", [OSError("closed")])])
async def test_a_duty_that_fails_while_everything_ends_is_no_news(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_when_it_ends() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async with trio.open_nursery() as nursery:
        DutyRunner(nursery, "test").reconcile({"duty": fails_when_it_ends})
        await settle()
        nursery.cancel_scope.cancel()
    assert caplog.records == []


async def test_a_duty_that_fails_is_news_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    async with trio.open_nursery() as nursery:
        broken = Work()
        broken.fail = OSError("closed")
        DutyRunner(nursery, "test").reconcile(wanted(broken=broken))
        await settle()
        nursery.cancel_scope.cancel()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_pauses_double_up_to_the_largest() -> None:
    backoff = Backoff()
    pauses = [backoff.next_pause() for _ in range(20)]
    assert pauses[0] == limits.RETRY_FIRST_SECONDS
    assert all(later in (2 * earlier, limits.RETRY_LARGEST_SECONDS) for earlier, later in pairwise(pauses))
    assert pauses[-1] == limits.RETRY_LARGEST_SECONDS


async def test_waiting_for_a_block_ends_with_it_or_a_later_one(autojump_clock: trio.testing.MockClock) -> None:
    clock, reached = BlockClock(5), list[int]()

    async def wait(number: int) -> None:
        await clock.reached(number)
        reached.append(number)

    async with trio.open_nursery() as nursery:
        for number in (4, 5, 7, 9):
            nursery.start_soon(wait, number)
        await settle()
        assert sorted(reached) == [4, 5]
        clock.advance(6)
        await settle()
        assert sorted(reached) == [4, 5]
        clock.advance(8)
        await settle()
        assert sorted(reached) == [4, 5, 7]
        clock.advance(9)
