"""Whatever a signed extrinsic says, it is refused, fails, or works: nothing else may come out of the runtime."""

from random import Random
from typing import Any

import pytest

from pallets.datdot.events import HostingStarted, ProofOfStorageConfirmed
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import DispatchError, InvalidTransaction
from runtime.origin import NoneOrigin, Root
from runtime.state import DictState
from runtime.transition import BlockExecution, validate_transaction
from tests.fuzz.arbitrary import Arbitrary
from tests.pallets.chainfiles import account
from tests.pallets.datdot.people import core, plan_arguments
from tests.pallets.datdot.world import World
from tests.pallets.harness import Chain

EXAMPLES_PER_CALL = 12
MARKET_BLOCKS = 40
MUTATIONS_PER_EXTRINSIC = 40


@pytest.fixture(scope="module")
def chain() -> Chain:
    made = Chain()
    made.blocks(2)
    return made


def changes(execution: BlockExecution) -> dict[bytes, bytes | None]:
    with execution.runtime.bind(execution.overlay):
        return execution.overlay.changes()


def paid_by(chain: Chain, *accounts: bytes) -> set[bytes]:
    """Storage keys that an extrinsic which failed may change: who paid, who was paid."""
    system: Any = chain.runtime.pallet("System")
    return {system.account.key_of(who) for who in (*accounts, chain.balances.treasury)}


def context_keys(chain: Chain) -> set[bytes]:
    """Storage keys of the block's context: events, weights, counters."""
    system: Any = chain.runtime.pallet("System")
    items = ("events", "event_count", "block_weight", "all_extrinsics_len", "extrinsic_count", "execution_phase")
    return {getattr(system, item).key_of() for item in items}


def call_names() -> list[tuple[str, str]]:
    return sorted(Chain().runtime.calls)


@pytest.mark.parametrize(("pallet", "function"), call_names())
@pytest.mark.parametrize("as_root", [False, True])
def test_a_signed_call_works_or_fails_and_a_failed_one_changes_nothing_but_nonce_and_fee(
    chain: Chain, pallet: str, function: str, as_root: bool
) -> None:
    random = Random(f"{pallet}.{function}.{as_root}")
    known = (account("Alice"), account("Bob"), chain.balances.treasury)
    arbitrary = Arbitrary(random, chain.runtime, known)
    sender = "Alice" if as_root else "Bob"
    allowed = paid_by(chain, account(sender), account("Alice")) | context_keys(chain)
    saved = (chain.header, chain.slot, DictState(dict(chain.state.pairs)))
    execution = chain.begin()
    execution.apply(chain.inherent((chain.slot + 1) * 1_000))
    for _ in range(EXAMPLES_PER_CALL):
        call = arbitrary.arguments(pallet, function)
        if as_root:
            call = RuntimeCall("Sudo", "sudo", {"call": call})
        with chain.runtime.bind(execution.overlay):
            nonce = chain.runtime.system.nonce(account(sender))
        extrinsic = chain.sign(sender, call, nonce=nonce)
        before = changes(execution)
        try:
            error = execution.apply(extrinsic).error
        except InvalidTransaction:
            assert changes(execution) == before
            continue
        assert error is None or isinstance(error, DispatchError)
        if error is not None:
            after = changes(execution)
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            assert changed <= allowed
    chain.adopt(execution.finalize(), chain.slot + 1)
    chain.header, chain.slot, chain.state = saved


def test_extrinsics_with_changed_bytes_are_refused_by_name(chain: Chain) -> None:
    random = Random("bytes")
    call = RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(account("Alice")), "value": 5})
    for extrinsic in (chain.sign("Bob", call), chain.inherent(5), b"", b"\x00", b"\x04\x84"):
        for _ in range(MUTATIONS_PER_EXTRINSIC):
            changed = bytearray(extrinsic)
            for _ in range(random.randrange(1, 4)):
                if changed:
                    changed[random.randrange(len(changed))] = random.randrange(256)
            cut = bytes(changed[: random.choice((len(changed), random.randrange(len(changed) + 1)))])
            if cut != extrinsic:
                with pytest.raises(InvalidTransaction):
                    validate_transaction(chain.runtime, chain.header, chain.state, cut)


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_market_survives_calls_that_are_almost_right(seed: int) -> None:
    random = Random(seed)
    world = World()
    world.staff(*range(1, 10))
    world.join(20)
    world.publish(world.people[20], [(0, 14)], 60)
    arbitrary = Arbitrary(random, world.runtime, tuple(person.account for person in world.people.values()))
    people = [*(world.people[number] for number in (*range(1, 10), 20, 21)), Root(), NoneOrigin()]
    for _ in range(MARKET_BLOCKS):
        right = world.answers()
        right.append((world.people[20], "publish_plan", plan_arguments(core(40), [(0, 3)], world.number + 40)))
        right.append(world.offering(world.people[random.randrange(1, 10)]))
        wrong: list[tuple[Any, str, dict[str, Any]]] = []
        for who, function, arguments in random.choices(right, k=4):
            specs = dict(world.runtime.calls["DatDot", function].spec.arguments)
            changed = {name: arbitrary.mutated(specs[name], value) for name, value in arguments.items()}
            wrong.append((random.choice((who, random.choice(people))), function, changed))
        for _ in range(2):
            call = arbitrary.call()
            if call.pallet == "DatDot":
                wrong.append((random.choice(people), call.function, dict(call.arguments)))
        world.block(*wrong, *(world.answers() if random.random() < 0.7 else ()))
    assert {HostingStarted, ProofOfStorageConfirmed} <= {type(event) for event in world.history}
