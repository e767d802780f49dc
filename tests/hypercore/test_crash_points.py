"""A kill or a power cut after every single write and sync of random workloads: nothing acknowledged is lost."""

import pytest

from tests.hypercore.crash_points import WORKLOADS, main, run


@pytest.mark.parametrize("kind", sorted(WORKLOADS))
@pytest.mark.parametrize("seed", range(3))
def test_every_crash_point_of_a_workload_reopens_with_all_that_was_acknowledged(kind: str, seed: int) -> None:
    points = run(kind, seed, 30)
    assert set(points) == {"kill", "torn kill", "power cut", "torn power cut"}
    assert points.total() > 200


def test_the_program_prints_how_many_crash_points_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    main(100)
    total = int(capsys.readouterr().out.split("\n")[4].split()[0])
    assert total >= 100
