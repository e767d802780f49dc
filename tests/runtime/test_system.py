"""System: block hashes, references of accounts, remarks, limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pallets.system import (
    ACCOUNT_CONSUMERS_MAXIMUM,
    KilledAccount,
    NewAccount,
    Remarked,
    System,
    SystemConfig,
)
from runtime.account import AccountData, AccountInfo
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.errors import BadOrigin, InvalidTransaction, InvariantBroken, SimpleFault, Validity
from runtime.events import Finalization, Initialization
from runtime.header import Consensus, Digest
from runtime.origin import Root, Signed
from runtime.state import DictState, Overlay
from runtime.weights import (
    MANDATORY,
    NORMAL,
    OPERATIONAL,
    U64_MAX,
    DispatchInfo,
    Weight,
    default_block_length,
    default_block_weights,
)
from tests.runtime.conftest import VERSION

WHO = bytes(range(32))


@pytest.fixture
def system() -> Iterator[System]:
    """System alone, inside block 1, keeping four block hashes."""
    system = System(SystemConfig(block_hash_count=4))
    runtime = Runtime((system,), VERSION, bytes(32))
    with runtime.bind(Overlay(DictState())):
        system.initialize(1, b"\1" * 32, Digest())
        yield system


def test_block_hashes_are_kept_for_a_while_and_that_of_the_genesis_forever(system: System) -> None:
    for number in range(1, 9):
        system.initialize(number, bytes([number]) * 32, Digest())
        system.finalize()
    system.initialize(9, b"\x09" * 32, Digest())
    known = [number for number in range(12) if system.block_hash(number) is not None]
    assert known == [0, 4, 5, 6, 7, 8]
    assert system.block_hash(0) == b"\1" * 32
    assert system.parent_hash() == system.block_hash(8) == b"\x09" * 32


def test_the_first_provider_creates_and_the_last_one_reaps(system: System) -> None:
    assert system.increment_providers(WHO) is True
    assert system.increment_providers(WHO) is False
    system.increment_nonce(WHO)
    assert system.account.get(WHO) == AccountInfo(nonce=1, providers=2)
    assert system.decrement_providers(WHO) is False
    assert system.is_referenced(WHO)
    assert system.decrement_providers(WHO) is True
    assert not system.is_referenced(WHO)
    assert not system.account.contains(WHO)
    assert [record.event for record in system.event_records()] == [NewAccount(WHO), KilledAccount(WHO)]
    with pytest.raises(InvariantBroken):
        system.decrement_providers(WHO)


def test_an_account_with_consumers_cannot_lose_its_last_provider(system: System) -> None:
    with pytest.raises(SimpleFault, match="NoProviders"):
        system.increment_consumers(WHO)
    system.increment_providers(WHO)
    for _ in range(ACCOUNT_CONSUMERS_MAXIMUM):
        system.increment_consumers(WHO)
    with pytest.raises(SimpleFault, match="TooManyConsumers"):
        system.increment_consumers(WHO)
    with pytest.raises(SimpleFault, match="ConsumerRemaining"):
        system.decrement_providers(WHO)
    for _ in range(ACCOUNT_CONSUMERS_MAXIMUM):
        system.decrement_consumers(WHO)
    with pytest.raises(InvariantBroken):
        system.decrement_consumers(WHO)
    assert system.decrement_providers(WHO) is True


def test_account_data_is_kept_beside_the_references(system: System) -> None:
    system.increment_providers(WHO)
    changed = system.mutate_account_data(WHO, lambda data: AccountData(data.free + 7, data.reserved))
    assert system.account_data(WHO) == changed == AccountData(7)
    assert system.account.get(WHO).providers == 1


def test_an_account_takes_80_bytes() -> None:
    encoded = codec_for(AccountInfo).encode(AccountInfo(1, 2, 3, 4, AccountData(5, 6, 7)))
    assert len(encoded) == 80
    assert encoded[:20] == bytes.fromhex("01000000020000000300000004000000" + "05000000")
    assert encoded[-1] == 0x80


def test_an_account_without_provider_breaks_the_invariant(system: System) -> None:
    system.try_state()
    system.account.put(WHO, AccountInfo(nonce=1))
    with pytest.raises(InvariantBroken, match=WHO.hex()):
        system.try_state()


def test_remarks_are_hashed_into_an_event(system: System) -> None:
    runtime = system.runtime
    silent = RuntimeCall("System", "remark", {"remark": b"hello"})
    assert runtime.dispatch(silent, Signed(WHO)).error is None
    assert runtime.dispatch(silent, Root()).error is None
    call = RuntimeCall("System", "remark_with_event", {"remark": b"hello"})
    assert runtime.dispatch(call, Signed(WHO)).error is None
    assert isinstance(runtime.dispatch(call, Root()).error, BadOrigin)
    assert [record.event for record in system.event_records()] == [Remarked(WHO, blake2_256(b"hello"))]
    longer = RuntimeCall("System", "remark_with_event", {"remark": bytes(1_000)})
    assert runtime.dispatch_info(longer).weight.exceeds(runtime.dispatch_info(call).weight)


def test_events_carry_the_phase_of_the_block(system: System) -> None:
    system.increment_providers(WHO)
    assert system.extrinsic_index() is None
    system.note_initialized()
    assert system.extrinsic_index() == 0
    system.note_finished_extrinsics()
    system.decrement_providers(WHO)
    assert [type(record.phase) for record in system.event_records()] == [Initialization, Finalization]


def test_the_digest_grows_by_logs(system: System) -> None:
    system.deposit_log(Consensus(b"test", b"x"))
    assert system.finalize() == system.digest() == Digest((Consensus(b"test", b"x"),))


def refused(system: System, info: DispatchInfo, length_bytes: int = 100) -> bool:
    try:
        system.check_limits(info, length_bytes)
    except InvalidTransaction as error:
        return error.kind is Validity.EXHAUSTS_RESOURCES
    return False


def test_length_is_bounded_per_class(system: System) -> None:
    limit = system.config.block_length.max
    assert not refused(system, DispatchInfo(Weight(), NORMAL), limit.normal)
    assert refused(system, DispatchInfo(Weight(), NORMAL), limit.normal + 1)
    assert not refused(system, DispatchInfo(Weight(), OPERATIONAL), limit.normal + 1)
    system.register_extrinsic(DispatchInfo(Weight(), NORMAL), limit.normal)
    assert refused(system, DispatchInfo(Weight(), NORMAL), 1)
    assert not refused(system, DispatchInfo(Weight(), OPERATIONAL), 1)


def test_weight_is_bounded_per_class_with_a_reserve_for_operational_calls(system: System) -> None:
    weights = system.config.block_weights
    normal = weights.per_class.normal
    assert normal.max_extrinsic is not None
    assert normal.max_total is not None
    assert refused(system, DispatchInfo(normal.max_extrinsic + Weight(1), NORMAL))
    assert not refused(system, DispatchInfo(normal.max_extrinsic, NORMAL))
    assert refused(system, DispatchInfo(weights.max_block, OPERATIONAL))
    system.register_weight(weights.max_block, MANDATORY)
    assert refused(system, DispatchInfo(Weight(1), NORMAL))
    reserve = weights.per_class.operational.reserved
    assert reserve is not None
    free = reserve - weights.per_class.operational.base_extrinsic
    assert not refused(system, DispatchInfo(free, OPERATIONAL))
    assert refused(system, DispatchInfo(free + Weight(1), OPERATIONAL))
    assert system.remaining_weight() == Weight()


def test_the_usual_limits_are_two_seconds_and_five_mebibytes() -> None:
    weights, length = default_block_weights(), default_block_length()
    assert weights.max_block.ref_time == 2 * 10**12
    assert weights.per_class.normal.max_total == Weight(15 * 10**11, U64_MAX)
    assert (length.max.normal, length.max.operational) == (3_932_160, 5_242_880)


def test_weights_never_leave_their_range() -> None:
    assert Weight(U64_MAX, 1) + Weight(1, 1) == Weight(U64_MAX, 2)
    assert Weight(1, 5) - Weight(2, 3) == Weight(0, 2)
    assert Weight(U64_MAX) * 2 == Weight(U64_MAX)
    assert Weight(1, 9).exceeds(Weight(1, 8))
    assert Weight(3, 9).at_most(Weight(5, 8)) == Weight(3, 8)
