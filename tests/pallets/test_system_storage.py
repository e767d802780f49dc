"""Root writes storage by raw keys: what fits is stored, what does not fails as a call and never stops the node."""

from __future__ import annotations

from typing import Any

import pytest

from pallets.sudo import Sudid
from runtime.call import RuntimeCall
from runtime.crypto import twox128
from runtime.errors import CodecError, OriginRefused, Other
from runtime.limits import RAW_STORAGE_ITEMS, STORAGE_KEY_BYTES
from runtime.types import Err, Ok
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain

KEY = twox128(b"Sudo") + twox128(b"Key")
EVE = account("Eve")


def storage_call(function: str, **arguments: Any) -> RuntimeCall:
    return RuntimeCall("System", function, arguments)


def set_items(*items: tuple[bytes, bytes]) -> RuntimeCall:
    return storage_call("set_storage", items=items)


def test_values_that_fit_are_stored_and_seen_by_their_pallet(chain: Chain) -> None:
    assert chain.sudo(set_items((KEY, EVE), (b"free", b"bytes"))).events[-1] == Sudid(Ok(None))
    assert (chain.state.get(KEY), chain.state.get(b"free")) == (EVE, b"bytes")


@pytest.mark.parametrize(
    "items",
    [
        [(KEY, b"short")],
        [(KEY, bytes(33))],
        [(b"free", b"")],
        [(b"", b"value")],
        [(b"good", b"value"), (KEY, b"short")],
    ],
)
def test_what_the_state_cannot_hold_fails_and_is_undone(chain: Chain, items: list[tuple[bytes, bytes]]) -> None:
    before = chain.state.get(KEY)
    assert chain.sudo(set_items(*items)).events[-1] == Sudid(Err(Other()))
    assert chain.state.get(KEY) == before
    assert chain.state.keys(b"good", None, 1) == []


def test_keys_and_prefixes_are_killed(chain: Chain) -> None:
    chain.sudo(set_items(*((b"many" + bytes([number]), b"v") for number in range(5)), (b"one", b"v")))
    chain.sudo(storage_call("kill_storage", keys=(b"one", b"unknown")))
    assert chain.state.keys(b"one", None, 1) == []
    chain.sudo(storage_call("kill_prefix", prefix=b"many", subkeys=3))
    assert chain.state.keys(b"many", None, 9) == [b"many\x03", b"many\x04"]


@pytest.mark.parametrize(
    "call",
    [
        set_items((b"key", b"value")),
        storage_call("kill_storage", keys=(KEY,)),
        storage_call("kill_prefix", prefix=KEY, subkeys=1),
    ],
    ids=lambda call: call.function,
)
def test_only_root_may(chain: Chain, call: RuntimeCall) -> None:
    outcome = chain.submit("Bob", "System", call.function, **call.arguments)
    assert outcome.error == OriginRefused()


def test_every_argument_is_bounded(chain: Chain) -> None:
    for call in (
        set_items((bytes(STORAGE_KEY_BYTES + 1), b"v")),
        set_items(*[(b"k", b"v")] * (RAW_STORAGE_ITEMS + 1)),
        storage_call("kill_storage", keys=(b"k",) * (RAW_STORAGE_ITEMS + 1)),
    ):
        with pytest.raises(CodecError, match="at most"):
            chain.runtime.call_codec.encode(call)


def test_weight_grows_with_what_is_written(chain: Chain) -> None:
    few, many = (chain.runtime.dispatch_info(set_items(*[(b"k", b"v")] * count)).weight for count in (1, 100))
    assert many.ref_time > 20 * few.ref_time
    huge = chain.runtime.dispatch_info(storage_call("kill_prefix", prefix=b"", subkeys=2**32 - 1)).weight
    most = chain.runtime.dispatch_info(storage_call("kill_prefix", prefix=b"", subkeys=RAW_STORAGE_ITEMS)).weight
    assert huge == most
