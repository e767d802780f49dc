"""A kill or a power cut after every single write and sync of random workloads: nothing acknowledged is lost."""

import pytest

from tests.hypercore.crash_points import run


@pytest.mark.parametrize("seed", range(6))
def test_every_crash_point_of_a_workload_reopens_with_all_that_was_acknowledged(seed: int) -> None:
    assert run(seed, 30) > 300
