"""A runtime is composed only of declarations that fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pallets.system import System, SystemConfig, SystemEvent
from runtime.construct import Runtime
from runtime.errors import CodecError, InvalidTransaction, ModuleError, PalletError, Validity, ensure
from runtime.events import Event, EventRecord, Initialization
from runtime.origin import NoneOrigin, Origin, Root, Signed, ensure_none, ensure_root, ensure_signed
from runtime.pallet import Pallet, call
from runtime.roles import SystemRole
from runtime.types import U8
from runtime.version import api_id, runtime_code, source_digest
from runtime.weights import Weight
from tests.runtime.conftest import VERSION, Counted, Counter, CounterConfig, CounterError, make_runtime

DIGEST = bytes(32)


def system() -> System:
    role: SystemRole = System(SystemConfig())
    assert isinstance(role, System)
    return role


def test_pallets_are_ordered_by_index() -> None:
    assert [pallet.name for pallet in make_runtime().pallets] == ["System", "Counter"]


@pytest.mark.parametrize("pallets", [(), ("counter",)])
def test_a_runtime_needs_system(pallets: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="needs the pallet System"):
        Runtime(tuple(Counter(CounterConfig()) for _ in pallets), VERSION, DIGEST)


class SameName(Pallet):
    """Another System."""

    name = "System"
    index = 9


class SameIndex(Pallet):
    """At the place of System."""

    name = "Other"
    index = 0


class TooFar(Pallet):
    """Beyond a byte."""

    name = "TooFar"
    index = 256


@pytest.mark.parametrize(("kind", "reason"), [(SameName, "same name"), (SameIndex, "same index"), (TooFar, "0 to 255")])
def test_names_and_indices_are_unique_and_fit_a_byte(kind: type[Pallet], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Runtime((system(), kind()), VERSION, DIGEST)


def test_a_pallet_belongs_to_one_runtime() -> None:
    counter = Counter(CounterConfig())
    Runtime((system(), counter), VERSION, DIGEST)
    with pytest.raises(ValueError, match="already belongs"):
        Runtime((system(), counter), VERSION, DIGEST)


def test_a_pallet_wants_its_own_config() -> None:
    with pytest.raises(TypeError, match="Counter wants a CounterConfig"):
        Counter(SystemConfig())


def test_errors_belong_to_one_pallet_index() -> None:
    make_runtime()

    class Borrower(Pallet):
        """Uses another pallet's errors."""

        name = "Borrower"
        index = 33
        Error = CounterError

    with pytest.raises(ValueError, match="already belongs to another pallet"):
        Runtime((system(), Borrower()), VERSION, DIGEST)


def test_two_errors_need_two_sentences() -> None:
    class Twins(PalletError):
        """Two names for one thing."""

        One = "The same."
        Two = "The same."

    class Confused(Pallet):
        """Has twins."""

        name = "Confused"
        index = 34
        Error = Twins

    with pytest.raises(ValueError, match="same sentence"):
        Runtime((system(), Confused()), VERSION, DIGEST)


class Clash(Pallet):
    """Two calls of one index."""

    name = "Clash"
    index = 35

    @call(weight=Weight(), index=1)
    def one(self, origin: Origin) -> None:
        """Be first."""

    @call(weight=Weight(), index=1)
    def two(self, origin: Origin) -> None:
        """Be in the way."""


class NoOrigin(Pallet):
    """A call without origin."""

    name = "NoOrigin"
    index = 36

    @call(weight=Weight())
    def one(self, amount: U8) -> None:
        """Have no origin."""


class Untyped(Pallet):
    """A call with an argument that SCALE cannot hold."""

    name = "Untyped"
    index = 37

    @call(weight=Weight())
    def one(self, origin: Origin, amount: int) -> None:
        """Be vague."""


@pytest.mark.parametrize(
    ("kind", "reason"), [(Clash, "same index"), (NoOrigin, "origin"), (Untyped, r"Untyped\.one\(amount\)")]
)
def test_calls_that_cannot_be_dispatched_are_refused(kind: type[Pallet], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Runtime((system(), kind()), VERSION, DIGEST)


def test_call_indices_are_given_or_follow_the_declaration() -> None:
    assert [(spec.name, spec.index) for spec in System.call_specs()] == [
        ("remark", 0),
        ("set_code", 2),
        ("set_storage", 4),
        ("kill_storage", 5),
        ("kill_prefix", 6),
        ("remark_with_event", 7),
    ]
    assert [spec.index for spec in Counter.call_specs()] == list(range(8))


def test_calls_and_storage_are_inherited() -> None:
    class Special(Counter):
        """A counter of its own."""

        @call(weight=Weight())
        def more(self, origin: Origin) -> None:
            """Do more."""

    assert [spec.name for spec in Special.call_specs()] == [*(spec.name for spec in Counter.call_specs()), "more"]
    assert list(Special.storage()) == list(Counter.storage())


def test_events_of_other_runtimes_do_not_encode() -> None:
    class StrangeEvent(Event):
        """Nobody's."""

    @dataclass(frozen=True)
    class Strange(StrangeEvent):
        """Nobody's event."""

    runtime = make_runtime()
    record: Any = EventRecord(Initialization(), Strange())
    with pytest.raises(CodecError, match=r"\[0\]\.event: Strange is no event"):
        runtime.event_records_codec.encode((record,))
    good = (EventRecord(Initialization(), Counted(bytes(32), 1)),)
    assert runtime.event_records_codec.decode(runtime.event_records_codec.encode(good)) == good
    for data in ("04", "0402", "040263", "04020709", "0402000900"):
        with pytest.raises(CodecError):
            runtime.event_records_codec.decode(bytes.fromhex(data))
    assert issubclass(SystemEvent, Event)


@pytest.mark.parametrize("data", ["", "07", "6300", "0763", "0001"])
def test_calls_of_other_runtimes_do_not_decode(data: str) -> None:
    with pytest.raises(CodecError):
        make_runtime().call_codec.decode(bytes.fromhex(data))


def test_origins_are_what_they_are() -> None:
    signed, root, nobody = Signed(bytes(32)), Root(), NoneOrigin()
    assert ensure_signed(signed) == bytes(32)
    ensure_root(root)
    ensure_none(nobody)
    for check, wrong in (
        (ensure_signed, (root, nobody)),
        (ensure_root, (signed, nobody)),
        (ensure_none, (signed, root)),
    ):
        for origin in wrong:
            with pytest.raises(Exception, match="bad origin"):
                check(origin)


def test_ensure_raises_the_pallets_error() -> None:
    ensure(True, CounterError.Odd)
    with pytest.raises(ModuleError, match=r"CounterError\.Odd: The amount is odd\."):
        ensure(False, CounterError.Odd)
    assert CounterError.Odd.index == 1


def test_the_source_digest_depends_on_names_and_contents_but_not_on_order() -> None:
    one = source_digest({"a.py": b"1", "b.py": b"2"})
    assert one == source_digest({"b.py": b"2", "a.py": b"1"})
    others: list[dict[str, bytes]] = [{"a.py": b"2", "b.py": b"1"}, {"a.py": b"1"}, {"a.py": b"1", "c.py": b"2"}, {}]
    assert one not in {source_digest(files) for files in others}
    assert runtime_code(one, 7) == one + b"\7\0\0\0"
    with pytest.raises(ValueError, match="32 bytes"):
        runtime_code(b"short", 7)


def test_api_ids_are_substrates() -> None:
    assert api_id("Core").hex() == "df6acb689907609b"
    assert api_id("Metadata").hex() == "37e397fc7c91f5e4"


@pytest.mark.parametrize(
    ("kind", "custom", "encoded", "text"),
    [
        (Validity.CALL, 0, "0000", "Transaction call is not expected"),
        (Validity.STALE, 0, "0003", "Transaction is outdated"),
        (Validity.BAD_PROOF, 0, "0004", "Transaction has a bad signature"),
        (Validity.CUSTOM, 9, "000709", "Custom error: 9"),
        (Validity.BAD_SIGNER, 0, "000a", "Invalid signing address"),
        (Validity.CANNOT_LOOKUP, 0, "0100", "Could not lookup information required to validate the transaction"),
        (
            Validity.NO_UNSIGNED_VALIDATOR,
            0,
            "0101",
            "Could not find an unsigned validator for the unsigned transaction",
        ),
    ],
)
def test_invalid_transactions_are_told_as_substrate_tells_them(
    kind: Validity, custom: int, encoded: str, text: str
) -> None:
    error = InvalidTransaction(kind, "detail", custom=custom)
    assert error.to_scale().hex() == encoded
    assert error.text == text
    assert str(error) == f"{text} (detail)"
