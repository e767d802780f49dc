"""A block that changes `:code`: which runtime executes what, and what becomes of transactions signed before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.chain.author import Author
from node.chain.chain import MAX_RUNTIMES
from node.chain.events import ImportStatus
from node.keys.keypair import Keypair
from pallets.balances import Balances
from pallets.chain import runtime_for
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.extrinsic import sign_extrinsic
from runtime.header import Header, RuntimeEnvironmentUpdated
from runtime.origin import Root, Signed
from runtime.version import CODE_KEY, runtime_code
from tests.node.chain.conftest import ALICE, AUTHORITIES, BOB, DAVE, SLOT_MS, ManualClock, Node, NodeMaker, make_spec

NEW_SOURCE = bytes([9]) * 32


def next_runtime(spec_version: int = 2) -> Runtime:
    runtime = runtime_for(make_spec(), source_digest=NEW_SOURCE)
    runtime.renumber(spec_version)
    return runtime


def signed(node: Node, key: Keypair, call: RuntimeCall, runtime: Runtime | None = None) -> bytes:
    chosen = runtime or node.chain.runtime
    return sign_extrinsic(
        chosen.extrinsic_codec,
        chosen.version,
        call,
        key,
        nonce=node.nonce(key.account_id),
        genesis_hash=node.store.genesis_hash,
    )


def set_code(code: bytes) -> RuntimeCall:
    return RuntimeCall("Sudo", "sudo", {"call": RuntimeCall("System", "set_code", {"code": code})})


async def upgrade(node: Node, code: bytes) -> Header:
    node.transactions.submit(signed(node, ALICE, set_code(code)))
    node.chain.clock.time_ms += SLOT_MS  # type: ignore[attr-defined]
    header = await node.author.author_block()
    assert header is not None
    return header


async def test_the_next_block_is_made_by_the_runtime_that_the_code_names(make_node: NodeMaker) -> None:
    node = make_node()
    old, new = node.chain.runtime, next_runtime()
    node.chain.offer_runtime(new)
    assert node.chain.runtime is old
    header = await upgrade(node, new.code)
    assert RuntimeEnvironmentUpdated() in header.digest
    assert node.store.state(header.hash).get(CODE_KEY) == new.code
    assert node.chain.runtime is new
    assert node.chain.runtime_of(header) is old
    assert node.chain.runtime_at(node.store.state(header.parent_hash)) is old
    following = await node.author.author_block()
    assert following is not None
    assert node.chain.runtime_of(following) is new


async def test_another_node_replays_an_upgrade_when_it_has_both_runtimes(make_node: NodeMaker) -> None:
    first, second = make_node(), make_node()
    for node in (first, second):
        node.chain.offer_runtime(next_runtime())
    blocks = [await upgrade(first, next_runtime().code), await first.author.author_block()]
    second.chain.clock.time_ms = first.chain.clock.now_ms() + SLOT_MS  # type: ignore[attr-defined]
    for header in blocks:
        assert header is not None
        result = await second.receive(first.block(header.hash))
        assert result.status is ImportStatus.IMPORTED, result.reason
    assert second.chain.runtime.code == next_runtime().code
    assert second.pairs(second.best.hash) == first.pairs(first.best.hash)


async def test_a_chain_that_asks_for_a_runtime_we_lack_is_not_authored(make_node: NodeMaker) -> None:
    node = make_node()
    old = node.chain.runtime
    await upgrade(node, next_runtime().code)
    assert node.chain.runtime is old
    assert await node.author.author_block() is None


async def test_what_was_signed_for_the_old_version_leaves_the_pool(make_node: NodeMaker) -> None:
    node = make_node()
    new = next_runtime()
    node.chain.offer_runtime(new)
    header = await upgrade(node, new.code)
    assert header.number == 1
    stale = signed(node, BOB, RuntimeCall("System", "remark", {"remark": b""}), replace_version(node))
    with pytest.raises(Exception, match=r"BadProof|signature"):
        node.transactions.submit(stale)
    node.transactions.submit(signed(node, BOB, RuntimeCall("System", "remark", {"remark": b""}), new))
    newer = runtime_for(make_spec(), source_digest=bytes([8]) * 32)
    newer.renumber(3)
    node.transactions.runtime_changed(newer)
    assert len(node.pool) == 0


def replace_version(node: Node) -> Runtime:
    """A runtime of the version that the chain was begun with."""
    return runtime_for(make_spec(), source_digest=node.runtime.source_digest)


async def test_a_build_under_the_code_in_force_takes_over_at_once(make_node: NodeMaker) -> None:
    node = make_node()
    twin = runtime_for(make_spec(), source_digest=node.runtime.source_digest)
    node.chain.offer_runtime(twin)
    assert node.chain.runtime is twin
    node.transactions.submit(node.transfer(ALICE, DAVE))
    assert await node.author.author_block() is not None


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (b"", "Failed to extract"),
        (bytes(35), "Failed to extract"),
        (runtime_code(NEW_SOURCE, 1), "not allowed to decrease"),
        (runtime_code(NEW_SOURCE, 0), "not allowed to decrease"),
    ],
)
def test_code_that_is_no_upgrade_is_refused(make_node: NodeMaker, code: bytes, sentence: str) -> None:
    node = make_node()
    with node.runtime.at(node.store.state(node.best.hash)):
        result = node.runtime.dispatch(RuntimeCall("System", "set_code", {"code": code}), Root())
    assert sentence in str(result.error)


def test_only_root_sets_the_code(make_node: NodeMaker) -> None:
    node = make_node()
    call = RuntimeCall("System", "set_code", {"code": next_runtime().code})
    with node.runtime.at(node.store.state(node.best.hash)):
        assert "BadOrigin" in repr(node.runtime.dispatch(call, Signed(ALICE.account_id)).error)


def test_a_runtime_whose_metadata_was_read_keeps_its_number() -> None:
    runtime = next_runtime()
    assert runtime.metadata_v14
    with pytest.raises(ValueError, match="metadata"):
        runtime.renumber(7)


async def test_a_bug_of_the_runtime_stops_the_author_unless_somebody_listens(
    make_node: NodeMaker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    balances = node.runtime.pallet("Balances")
    assert isinstance(balances, Balances)

    def broken(*_: object, **__: object) -> None:
        raise NameError("a typing mistake")

    monkeypatch.setattr(balances, "transfer", broken)
    node.transactions.submit(node.transfer(ALICE, DAVE))
    with pytest.raises(NameError):
        await node.author.author_block()
    told: list[Exception] = []
    tolerant = Author(node.chain, node.transactions, AUTHORITIES, on_bug=told.append)
    header = await tolerant.author_block()
    assert header is not None
    assert [str(error) for error in told] == ["a typing mistake"]
    assert len(node.pool) == 0
    assert len(node.store.body(header.hash) or ()) == 1


async def test_a_bug_in_a_hook_leaves_the_slot_empty_and_the_chain_alive(
    make_node: NodeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    told: list[Exception] = []
    tolerant = Author(node.chain, node.transactions, AUTHORITIES, on_bug=told.append)

    def broken(number: int) -> None:
        raise ZeroDivisionError("a hook")

    with monkeypatch.context() as patch:
        patch.setattr(node.runtime, "finalizers", (broken,))
        assert await tolerant.author_block() is None
    assert len(told) == 1
    assert await tolerant.author_block() is not None


def test_a_node_keeps_a_bounded_number_of_runtimes(make_node: NodeMaker) -> None:
    node = make_node()
    current = node.chain.runtime
    spare = replace(next_runtime().version, spec_version=0)
    runtime = next_runtime()
    for number in range(2 * MAX_RUNTIMES):
        runtime.version = replace(spare, spec_version=number + 2)
        node.chain.offer_runtime(runtime)
    assert len(node.chain._runtimes) == MAX_RUNTIMES
    assert node.chain.runtime is current
