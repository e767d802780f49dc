"""Sudo: one key acts as root, and nobody else does."""

from __future__ import annotations

from typing import Any

import pytest

from pallets.sudo import KeyChanged, KeyRemoved, Sudid, SudoAsDone
from runtime.account import Address32
from runtime.call import RuntimeCall
from runtime.errors import InvalidTransaction, LookupFailed, Module, ModuleErrorValue, OriginRefused, Validity
from runtime.types import Err, Ok
from runtime.weights import Weight
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain, address, transfer

REQUIRE_SUDO = Module(ModuleErrorValue(7, bytes(4)))
INNER = RuntimeCall("Balances", "force_set_balance", {"who": address("Eve"), "new_free": 1_000})


def test_the_key_acts_as_root(chain: Chain) -> None:
    outcome = chain.sudo(INNER)
    assert outcome.events[-1] == Sudid(Ok(None))
    assert chain.free(account("Eve")) == 1_000


def test_root_may_remark_like_everybody(chain: Chain) -> None:
    remark = RuntimeCall("System", "remark", {"remark": b"hello"})
    assert chain.sudo(remark).events == (Sudid(Ok(None)),)
    with_event = RuntimeCall("System", "remark_with_event", {"remark": b"hello"})
    assert chain.sudo(with_event).events == (Sudid(Err(OriginRefused())),)


def test_what_fails_as_root_is_reported_and_undone(chain: Chain) -> None:
    outcome = chain.sudo(transfer(account("Eve"), 1_000))
    assert outcome.error is None
    assert outcome.events == (Sudid(Err(OriginRefused())),)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("sudo", {"call": INNER}),
        ("sudo_unchecked_weight", {"call": INNER, "weight": Weight(1)}),
        ("sudo_as", {"who": address("Eve"), "call": INNER}),
        ("set_key", {"new": address("Bob")}),
        ("remove_key", {}),
    ],
)
def test_nobody_else_may(chain: Chain, function: str, arguments: dict[str, Any]) -> None:
    outcome = chain.submit("Bob", "Sudo", function, **arguments)
    assert outcome.error == REQUIRE_SUDO
    assert outcome.events == ()


def test_root_itself_has_no_key(chain: Chain) -> None:
    outcome = chain.sudo(RuntimeCall("Sudo", "remove_key", {}))
    assert outcome.events == (Sudid(Err(OriginRefused())),)


def test_sudo_as_acts_as_another_account(chain: Chain) -> None:
    outcome = chain.submit("Alice", "Sudo", "sudo_as", who=address("Bob"), call=transfer(account("Eve"), 1_000))
    assert outcome.events[-1] == SudoAsDone(Ok(None))
    assert outcome.events[0].from_ == account("Bob")  # type: ignore[attr-defined]


def test_the_key_can_be_handed_over(chain: Chain) -> None:
    outcome = chain.submit("Alice", "Sudo", "set_key", new=address("Bob"))
    assert outcome.events == (KeyChanged(account("Alice"), account("Bob")),)
    assert chain.sudo(INNER).error == REQUIRE_SUDO
    assert chain.submit("Bob", "Sudo", "sudo", call=INNER).events[-1] == Sudid(Ok(None))


def test_the_key_is_not_handed_to_an_address_that_names_nobody(chain: Chain) -> None:
    assert chain.submit("Alice", "Sudo", "set_key", new=Address32(bytes(32))).error == LookupFailed()


def test_a_removed_key_is_gone_for_good(chain: Chain) -> None:
    assert chain.submit("Alice", "Sudo", "remove_key").events == (KeyRemoved(),)
    assert chain.sudo(INNER).error == REQUIRE_SUDO


def test_sudo_takes_the_class_and_the_weight_of_its_call(chain: Chain) -> None:
    inner = chain.runtime.dispatch_info(INNER)
    info = chain.runtime.dispatch_info(RuntimeCall("Sudo", "sudo", {"call": INNER}))
    assert info.class_ is inner.class_
    assert info.weight.ref_time > inner.weight.ref_time


def test_a_signed_call_is_never_mandatory(chain: Chain) -> None:
    inherent = RuntimeCall("Timestamp", "set", {"now": 1})
    with pytest.raises(InvalidTransaction) as raised:
        chain.sudo(inherent)
    assert raised.value.kind is Validity.MANDATORY_VALIDATION
