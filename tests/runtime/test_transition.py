"""Blocks on a tiny runtime: what is rolled back, what stays, what makes a block invalid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.keys.keypair import Keypair
from pallets.system import ExtrinsicFailed, ExtrinsicSuccess
from runtime import limits
from runtime.call import RuntimeCall
from runtime.errors import (
    BadOrigin,
    CodecError,
    InvalidBlock,
    InvalidTransaction,
    ModuleError,
    ModuleErrorValue,
    Validity,
)
from runtime.errors import Module as ModuleVariant
from runtime.events import Event
from runtime.header import Block, Other, PreRuntime, Seal
from runtime.origin import Root, Signed
from runtime.transition import BlockExecution, ExecutedBlock, execute_block, extrinsics_root, validate_transaction
from runtime.weights import OPERATIONAL
from tests.runtime.conftest import (
    Counted,
    CounterError,
    TinyChain,
    Wrapped,
    counter_of,
    events_of,
    make_signer,
    system_of,
)


def test_a_block_counts_and_tells(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    outcome = execution.apply(chain.signed(alice, "count", amount=5))
    executed = execution.finalize()
    assert (outcome.index, outcome.error) == (1, None)
    counted, success = events_of(executed, 1)
    assert counted == Counted(alice.account_id, 5)
    assert isinstance(success, ExtrinsicSuccess)
    chain.commit(executed)
    with chain.runtime.at(chain.state):
        assert counter_of(chain).total.get() == 5
        assert counter_of(chain).trail.get() == (1,)
        assert system_of(chain).number.get() == 1
        assert system_of(chain).event_count.get() == len(executed.events) == len(system_of(chain).events.get())
        assert system_of(chain).execution_phase.get() is None


def test_a_failed_call_is_rolled_back_but_the_nonce_rises(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    outcome = execution.apply(chain.signed(alice, "count", amount=1_001))
    executed = execution.finalize()
    assert isinstance(outcome.error, ModuleError)
    assert outcome.error.error is CounterError.TooHigh
    (failed,) = events_of(executed, 1)
    assert isinstance(failed, ExtrinsicFailed)
    assert failed.dispatch_error == ModuleVariant(ModuleErrorValue(7, bytes(4)))
    chain.commit(executed)
    with chain.runtime.at(chain.state):
        assert counter_of(chain).total.get() == 0
        assert counter_of(chain).by_account.get(alice.account_id) is None
        assert system_of(chain).nonce(alice.account_id) == 1


def test_a_call_inside_a_call_is_rolled_back_alone(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    inner = RuntimeCall("Counter", "count", {"amount": 1_001})
    outcome = execution.apply(chain.signed(alice, "wrap", inner=inner))
    executed = execution.finalize()
    assert outcome.error is None
    wrapped, success = events_of(executed, 1)
    assert wrapped == Wrapped(failed=True)
    assert isinstance(success, ExtrinsicSuccess)
    assert success.dispatch_info.class_ is OPERATIONAL
    with chain.runtime.bind(execution.overlay):
        assert counter_of(chain).total.get() == 0


def test_a_signed_origin_is_not_root(chain: TinyChain, alice: Keypair) -> None:
    assert isinstance(chain.begin().apply(chain.signed(alice, "root_only", note=b"x")).error, BadOrigin)


def test_calls_nest_only_so_deep(chain: TinyChain, alice: Keypair, monkeypatch: pytest.MonkeyPatch) -> None:
    call = RuntimeCall("Counter", "count", {"amount": 1})
    for _ in range(limits.CALL_DEPTH):
        call = RuntimeCall("Counter", "wrap", {"inner": call})
    with chain.runtime.at(chain.state):
        results: list[Event] = []
        counter = counter_of(chain)
        monkeypatch.setattr(counter, "deposit_event", results.append)
        assert chain.runtime.dispatch(call, Signed(alice.account_id)).error is None
        assert results[0] == Wrapped(failed=True)
        assert counter.total.get() == 0
    with pytest.raises(CodecError, match="nested deeper"):
        chain.runtime.call_codec.decode(chain.runtime.call_codec.encode(call))
    shallow = call.arguments["inner"]
    assert chain.runtime.call_codec.decode(chain.runtime.call_codec.encode(shallow)) == shallow


def test_a_bug_in_a_call_is_not_an_error_of_the_call(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    with pytest.raises(ZeroDivisionError):
        execution.apply(chain.signed(alice, "crash"))
    with pytest.raises(LookupError):
        counter_of(chain).total.get()


def test_dispatch_of_an_unknown_call_fails_without_a_trace(chain: TinyChain) -> None:
    with chain.runtime.at(chain.state):
        result = chain.runtime.dispatch(RuntimeCall("Counter", "nothing", {}), Root())
        assert str(result.error) == "no call Counter.nothing"
    with pytest.raises(CodecError, match=r"no call Counter\.nothing"):
        chain.runtime.call_codec.encode(RuntimeCall("Counter", "nothing", {}))


@pytest.mark.parametrize("arguments", [{}, {"amount": 1, "more": 2}, {"wrong": 1}, {"amount": -1}, {"amount": "1"}])
def test_calls_with_wrong_arguments_do_not_encode(chain: TinyChain, arguments: dict[str, Any]) -> None:
    with pytest.raises(CodecError, match=r"Counter\.count"):
        chain.runtime.call_codec.encode(RuntimeCall("Counter", "count", arguments))


# Inherents


def test_a_block_without_its_inherent_is_invalid(chain: TinyChain) -> None:
    execution = BlockExecution(chain.runtime, chain.head, chain.state, (), chain.nodes.__getitem__)
    execution.initialize()
    with pytest.raises(InvalidBlock, match=r"Counter\.set_moment is missing"):
        execution.finalize()


def test_the_first_extrinsic_must_be_the_inherent(chain: TinyChain, alice: Keypair) -> None:
    execution = BlockExecution(chain.runtime, chain.head, chain.state, (), chain.nodes.__getitem__)
    execution.initialize()
    for data in (
        chain.signed(alice, "count", amount=1),
        chain.runtime.extrinsic_codec.encode_bare(RuntimeCall("Counter", "count", {"amount": 1})),
        chain.signed(alice, "set_moment", now=2),
    ):
        with pytest.raises(InvalidTransaction, match="extrinsic 0 must be the inherent"):
            execution.apply(data)


def test_the_inherent_stands_in_a_block_once(chain: TinyChain) -> None:
    with pytest.raises(InvalidTransaction):
        chain.begin().apply(chain.inherent(4))


def test_an_inherent_that_fails_makes_the_block_invalid(chain: TinyChain) -> None:
    execution = BlockExecution(chain.runtime, chain.head, chain.state, (), chain.nodes.__getitem__)
    execution.initialize()
    before = execution.overlay.changes()
    with pytest.raises(InvalidTransaction) as caught:
        execution.apply(chain.inherent(3))
    assert caught.value.kind is Validity.BAD_MANDATORY
    assert execution.overlay.changes() == before


# Somebody else's block


@pytest.fixture
def made(chain: TinyChain, alice: Keypair) -> ExecutedBlock:
    """A block with a call that succeeds and one that fails."""
    execution = BlockExecution(
        chain.runtime, chain.head, chain.state, (PreRuntime(b"test", b"x"),), chain.nodes.__getitem__
    )
    execution.initialize()
    execution.apply(chain.inherent(2))
    execution.apply(chain.signed(alice, "count", amount=5))
    execution.apply(chain.signed(alice, "count", amount=5_000, nonce=1))
    return execution.finalize()


def check(chain: TinyChain, block: Block) -> ExecutedBlock:
    return execute_block(chain.runtime, chain.head, chain.state, block, chain.nodes.__getitem__)


def test_executing_a_block_again_gives_the_same_block(chain: TinyChain, made: ExecutedBlock) -> None:
    sealed = replace(made.header, digest=(*made.header.digest, Seal(b"test", b"signature")))
    again = check(chain, Block(sealed, made.extrinsics))
    assert again == made
    assert sealed.hash != made.header.hash
    assert sealed.without_seal() == made.header


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("parent_hash", bytes(32), "another parent"),
        ("number", 2, "does not follow 0"),
        ("number", 0, "does not follow 0"),
        ("state_root", bytes(32), "state root"),
        ("extrinsics_root", bytes(32), "extrinsics root"),
        ("digest", (), "state root|digest"),
        ("digest", (PreRuntime(b"test", b"y"),), "state root"),
        ("digest", (PreRuntime(b"test", b"x"), Other(b"")), "digest"),
        ("digest", (Other(b""), PreRuntime(b"test", b"x")), "digest"),
    ],
)
def test_every_claim_of_the_header_is_checked(
    chain: TinyChain, made: ExecutedBlock, field: str, value: Any, reason: str
) -> None:
    header = replace(made.header, **{field: value})
    with pytest.raises(InvalidBlock, match=reason):
        check(chain, Block(header, made.extrinsics))


def with_body(made: ExecutedBlock, *extrinsics: bytes) -> Block:
    return Block(replace(made.header, extrinsics_root=extrinsics_root(extrinsics)), extrinsics)


def test_another_body_is_refused(chain: TinyChain, made: ExecutedBlock, bob: Keypair) -> None:
    first, second, third = made.extrinsics
    for body, reason in (
        ((second, first, third), "extrinsic 0"),
        ((first, third, second), "extrinsic 1: Transaction will be valid in the future"),
        ((first, second, second), "extrinsic 2: Transaction is outdated"),
        ((first, second), "state root"),
        ((), "missing"),
        ((first, second, third, b"\0"), "extrinsic 3"),
        ((first, second, third, chain.signed(bob, "heavy")), "extrinsic 3: .*block limits"),
    ):
        with pytest.raises(InvalidBlock, match=reason):
            check(chain, with_body(made, *body))
    with pytest.raises(InvalidBlock, match="extrinsics root"):
        check(chain, Block(made.header, (first, second)))


def test_a_body_that_is_too_long_is_refused_unread(chain: TinyChain, made: ExecutedBlock) -> None:
    with pytest.raises(InvalidBlock, match="more than"):
        check(chain, Block(made.header, (bytes(limits.BLOCK_LENGTH_BYTES), b"\0")))
    with pytest.raises(InvalidBlock, match="more than"):
        check(chain, Block(made.header, (b"\0",) * (limits.EXTRINSICS_PER_BLOCK + 1)))


def test_the_extrinsics_root_is_that_of_the_ethereum_trie() -> None:
    import rlp
    from trie import HexaryTrie

    extrinsics = [bytes([number]) * (number + 1) for number in range(200)]
    trie = HexaryTrie({})
    for number, extrinsic in enumerate(extrinsics):
        trie[rlp.encode(number)] = extrinsic
    assert extrinsics_root(extrinsics) == trie.root_hash


def test_the_genesis_block_has_no_events(chain: TinyChain) -> None:
    with chain.runtime.at(chain.state):
        assert system_of(chain).account.contains(make_signer("alice").account_id)
        assert system_of(chain).events.get() == ()


def test_reading_another_state_between_extrinsics_does_not_disturb_the_block(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    execution.apply(chain.signed(alice, "count", amount=5))
    with chain.runtime.at(chain.state):
        assert counter_of(chain).total.get() == 0
    validate_transaction(chain.runtime, chain.head, chain.state, chain.signed(alice, "count", amount=6))
    execution.apply(chain.signed(alice, "count", amount=5, nonce=1))
    with chain.runtime.bind(execution.overlay):
        assert counter_of(chain).total.get() == 10
