"""Explorers know FRAME's pallets by name: calls, arguments, events, errors, constants, storage are called as there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pallets.chain import build_runtime
from runtime.codec import field_types
from runtime.construct import Runtime
from runtime.pallet import Pallet
from runtime.types import camel_case, scale_name

VECTORS = Path(__file__).parents[1] / "vectors" / "substrate" / "frame_pallets.json"
FRAME: dict[str, dict[str, Any]] = json.loads(VECTORS.read_text())
LEFT_OUT = {
    ("Scheduler", "events"): {"CallUnavailable"},  # there are no preimages
    ("Scheduler", "errors"): {"RescheduleNoChange", "Named"},  # no call reschedules
}
"""What has no meaning on this chain."""
OURS_ONLY = {("Proxy", "storage"): {"SpawnerDeposits"}}


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return build_runtime()


def ours(pallet: Pallet) -> dict[str, dict[str, Any]]:
    """A pallet in the shape of the vectors."""
    events: dict[int, Any] = getattr(pallet.Event, "__scale_variants__", {})
    errors: Any = pallet.Error
    return {
        "calls": {spec.name: [spec.index, *(name for name, _ in spec.arguments)] for spec in pallet.call_specs()},
        "events": {
            event.__name__: [index, *(scale_name(name) for name, _ in field_types(event))]
            for index, event in events.items()
            if dataclasses.is_dataclass(event)
        },
        "errors": {camel_case(error.name): error.index for error in errors},
        "constants": [constant.name for constant in pallet.constants()],
        "storage": {
            item.name: ["Optional" if item.default is None else "Default", *(hasher.name for _, hasher in item.hashers)]
            for item in pallet.storage().values()
        },
    }


@pytest.mark.parametrize("part", ["calls", "events", "errors", "constants", "storage"])
@pytest.mark.parametrize("pallet", sorted(FRAME))
def test_a_pallet_says_what_frame_says(runtime: Runtime, pallet: str, part: str) -> None:
    expected, found = FRAME[pallet][part], ours(runtime.pallet(pallet))[part]
    if part == "constants":
        assert sorted(found) == sorted(expected)
        return
    for name in LEFT_OUT.get((pallet, part), ()):
        assert name not in found
        del expected[name]
    for name in OURS_ONLY.get((pallet, part), ()):
        del found[name]
    assert found == expected
