"""A whole market in memory: a real runtime, block by block, and people who do their work or refuse to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from hypercore.io.core import Core
from pallets.aura import AURA_ENGINE, Aura, AuraConfig
from pallets.balances import Balances, BalancesConfig
from pallets.datdot import queries
from pallets.datdot.components import KeyProofs, LeafEvidence, Stored
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import DatDotError, NewAmendment, NewStorageChallenge
from pallets.datdot.pallet import DatDot
from pallets.datdot.sealing import LaneKey, LaneTree, commitment_message
from pallets.datdot.types import Amendment, Contract, Plan, PlanFunds, Role, StorageChallenge
from pallets.randomness import Randomness, RandomnessConfig
from pallets.randomness.onion import OnionLayers
from pallets.randomness.types import OnionReveal, onion_item
from pallets.scheduler import Scheduler, SchedulerConfig
from pallets.system import System, SystemConfig
from runtime.call import DispatchResult, RuntimeCall
from runtime.codec import codec_for
from runtime.construct import Runtime
from runtime.crypto import ss58_encode
from runtime.errors import ModuleError
from runtime.events import Event
from runtime.genesis import ChainSpec, build_genesis
from runtime.header import DigestItem, PreRuntime
from runtime.origin import Origin, Signed
from runtime.state import DictState
from runtime.transition import BlockExecution, ExecutedBlock
from runtime.version import RuntimeVersion
from tests.pallets.datdot.people import DAT, Person, core, offer_arguments, plan_arguments

WEALTH = 10**6 * DAT
EPOCH_SLOTS = 4_096
SLOT_MS = 1_000
LEAF_BYTES = 1_024
VERSION = RuntimeVersion("datdot", "test", 1, 1, 1, (), 1, 1)
PROPERTIES = {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "DAT"}


@cache
def onion(authority: int) -> OnionLayers:
    return OnionLayers(bytes([authority]) * 32, 0, EPOCH_SLOTS)


def lane_of(amendment_id: int, position: int, chunks: int, chunk_bytes: int = 1_500) -> tuple[bytes, LaneTree]:
    """The bytes of a lane and their tree; what is in them does not matter to the chain."""
    sealed = [bytes([(amendment_id + 7 * position + chunk) % 256]) * chunk_bytes for chunk in range(chunks)]
    return b"".join(sealed), LaneTree.of_chunks(amendment_id, position, sealed)


@dataclass
class World:
    """A chain with one pallet more than it needs, and everybody's keys."""

    config: DatDotConfig = field(default_factory=DatDotConfig)
    authorities: int = 1
    silent_attestors: set[int] = field(default_factory=set)
    silent_hosters: set[int] = field(default_factory=set)
    check: bool = True

    def __post_init__(self) -> None:
        self.runtime = self.compose()
        self.market = cast(DatDot, self.runtime.pallet("DatDot"))
        self.balances = cast(Balances, self.runtime.pallet("Balances"))
        self.people = {number: Person(f"person {number}") for number in range(1, 41)}
        keys = [bytes([200 + turn]) * 32 for turn in range(self.authorities)]
        genesis = {
            "Aura": {"authorities": [ss58_encode(key) for key in keys]},
            "Randomness": {
                "onions": [[ss58_encode(key), f"0x{onion(turn).tip.hex()}"] for turn, key in enumerate(keys)]
            },
            "Balances": {"balances": [[ss58_encode(person.account), WEALTH] for person in self.people.values()]},
        }
        spec = ChainSpec("Test", "test", "Development", PROPERTIES, SLOT_MS, genesis)
        block = build_genesis(self.runtime, spec)
        self.genesis_hash = block.header.hash
        self.header, self.nodes = block.header, dict(block.trie.new)
        self.state = DictState({key: value for key, value in block.changes.items() if value is not None})
        self.events: tuple[Event, ...] = ()
        self.history: list[Event] = []
        self.bytes_lost: set[tuple[int, int]] = set()

    def compose(self) -> Runtime:
        """The pallets that the market needs, and no more."""
        system = System(SystemConfig())
        aura = Aura(AuraConfig(SLOT_MS), system=system)
        randomness = Randomness(RandomnessConfig(epoch_slots=EPOCH_SLOTS), system=system, aura=aura)
        balances = Balances(BalancesConfig(), system=system)
        scheduler = Scheduler(SchedulerConfig(), system=system)
        market = DatDot(self.config, system=system, balances=balances, randomness=randomness, scheduler=scheduler)
        return Runtime((system, aura, randomness, balances, scheduler, market), VERSION, bytes(32))

    # blocks

    @property
    def number(self) -> int:
        """Number of the latest block."""
        return self.header.number

    def block(self, *calls: tuple[Origin | Person, str, dict[str, Any]]) -> list[DispatchResult]:
        """Make the next block with these calls of the market; every invariant is checked after it."""
        execution = BlockExecution(self.runtime, self.header, self.state, self.digest(), self.nodes.__getitem__)
        execution.initialize()
        results = self.execute(execution, calls)
        self.adopt(execution.finalize())
        if self.check:
            self.try_state()
        return results

    def digest(self) -> tuple[DigestItem, DigestItem]:
        """What the author of the next block puts into its header."""
        slot = self.number + 1
        reveal = codec_for(OnionReveal).encode(OnionReveal(onion(slot % self.authorities).layer(slot - 1), None))
        return PreRuntime(AURA_ENGINE, slot.to_bytes(8, "little")), onion_item(reveal)

    def execute(
        self, execution: BlockExecution, calls: Sequence[tuple[Origin | Person, str, dict[str, Any]]]
    ) -> list[DispatchResult]:
        """Dispatch calls inside of a block, without fees and signatures."""
        with self.runtime.bind(execution.overlay):
            return [
                self.runtime.dispatch(
                    RuntimeCall("DatDot", function, arguments),
                    Signed(who.account) if isinstance(who, Person) else who,
                )
                for who, function, arguments in calls
            ]

    def adopt(self, executed: ExecutedBlock) -> None:
        """Make a block the latest one."""
        self.state.apply(executed.changes)
        self.nodes.update(executed.trie.new)
        self.header = executed.header
        self.events = tuple(record.event for record in executed.events)
        self.history += self.events

    def try_state(self) -> None:
        with self.runtime.at(self.state):
            for pallet in self.runtime.pallets:
                pallet.try_state()

    def blocks(self, count: int) -> None:
        """Make blocks in which nobody does anything."""
        for _ in range(count):
            self.block()

    def work(self, *calls: tuple[Origin | Person, str, dict[str, Any]]) -> None:
        """Make a block in which everybody who is not silent does what the events of the last one asked for."""
        results = self.block(*calls, *self.answers())
        assert [str(result.error) for result in results if result.error is not None] == []

    def work_until(self, number: int) -> None:
        while self.number < number:
            self.work()

    def work_for(self, condition: Callable[[], bool], limit: int = 200) -> None:
        """Work until something holds."""
        for _ in range(limit):
            if condition():
                return
            self.work()
        raise AssertionError("it never happened")

    def refused(self, who: Origin | Person, function: str, **arguments: Any) -> DatDotError:
        """Make a call that must fail and leave the market's state as it was; the error."""
        before = self.changed_by_nothing()
        (result,) = self.block((who, function, arguments))
        assert isinstance(result.error, ModuleError), result.error
        assert isinstance(result.error.error, DatDotError)
        assert self.market_pairs() == before
        return result.error.error

    def changed_by_nothing(self) -> dict[bytes, bytes]:
        """What the market's state would be after the next block if nobody called anything."""
        saved = (self.header, dict(self.nodes), dict(self.state.pairs), self.events, list(self.history))
        self.block()
        after = self.market_pairs()
        self.header, self.nodes, self.state.pairs, self.events, self.history = saved
        return after

    def market_pairs(self) -> dict[bytes, bytes]:
        """Everything that the market stores."""
        prefix = self.market.user_by_id.prefix[:16]
        return {key: value for key, value in self.state.pairs.items() if key.startswith(prefix)}

    def do(self, who: Origin | Person, function: str, **arguments: Any) -> None:
        """Make a block with one call that must succeed."""
        (result,) = self.block((who, function, arguments))
        assert result.error is None, str(result.error)

    def run(self, query: Callable[[], Any]) -> Any:
        """The result of a query against the latest state."""
        with self.runtime.at(self.state):
            return query()

    # people

    def user_id(self, person: Person) -> int:
        user_id = self.run(lambda: self.market.user_id_by_account.get(person.account))
        assert user_id is not None
        return int(user_id)

    def person(self, user_id: int) -> Person:
        account = self.run(lambda: self.market.user(user_id).account)
        return next(person for person in self.people.values() if person.account == account)

    def free(self, person: Person) -> int:
        return int(self.run(lambda: self.balances.free(person.account)))

    def free_treasury(self) -> int:
        """What the treasury got since genesis."""
        balance = int(self.run(lambda: self.balances.free(self.balances.treasury)))
        return balance - self.balances.config.existential_deposit

    def join(self, *numbers: int) -> None:
        """People become users."""
        results = self.block(*(self.joining(self.people[number]) for number in numbers))
        assert all(result.error is None for result in results)

    def joining(self, person: Person) -> tuple[Person, str, dict[str, Any]]:
        noise = queries.key_proof_message(queries.NOISE_KEY_DOMAIN, self.genesis_hash, person.account)
        signing = queries.key_proof_message(queries.SIGNING_KEY_DOMAIN, self.genesis_hash, person.account)
        proofs = KeyProofs(person.noise.sign(noise), person.signing.sign(signing))
        return person, "new_user", {
            "noise_key": person.noise.public_key, "signing_key": person.signing.public_key, "key_proofs": proofs,
        }

    def offering(
        self, person: Person, roles: Iterable[Role] = tuple(Role), capacity: int = 8, **form: Any
    ) -> tuple[Person, str, dict[str, Any]]:
        return person, "register_for_work", offer_arguments(roles, capacity, **form)

    def staff(self, *numbers: int, roles: Iterable[Role] = tuple(Role), capacity: int = 8, **form: Any) -> None:
        """People become users and offer work."""
        self.join(*numbers)
        results = self.block(*(self.offering(self.people[number], roles, capacity, **form) for number in numbers))
        assert [result.error for result in results] == [None] * len(numbers)

    # the market

    def publish(
        self, sponsor: Person, ranges: Sequence[tuple[int, int]], until: int, *, feed: Core | None = None, **plan: Any
    ) -> int:
        """Publish a plan for chunks of a feed; its id."""
        self.do(sponsor, "publish_plan", **plan_arguments(feed or core(40), ranges, until, **plan))
        return max(int(plan_id) for plan_id, _ in self.run(lambda: list(self.market.plan_by_id.items())))

    def plan(self, plan_id: int) -> Plan:
        found: Plan = self.run(lambda: self.market.plan(plan_id))
        return found

    def funds(self, plan_id: int) -> PlanFunds | None:
        found: PlanFunds | None = self.run(lambda: self.market.funds.get(plan_id))
        return found

    def contract(self, contract_id: int) -> Contract:
        found: Contract = self.run(lambda: self.market.contract(contract_id))
        return found

    def amendment(self, amendment_id: int) -> Amendment:
        found: Amendment = self.run(lambda: self.market.amendment(amendment_id))
        return found

    def challenge(self, challenge_id: int) -> StorageChallenge:
        found: StorageChallenge = self.run(lambda: self.market.challenge(challenge_id))
        return found

    def seen(self, kind: type[Event]) -> list[Any]:
        """All events of a kind since genesis."""
        return [event for event in self.history if isinstance(event, kind)]

    def answers(self) -> list[tuple[Origin | Person, str, dict[str, Any]]]:
        """Reports and evidence that the events of the latest block ask for."""
        calls: list[tuple[Origin | Person, str, dict[str, Any]]] = []
        for event in self.events:
            if isinstance(event, NewAmendment):
                attestor = self.amendment(event.amendment).attestors[0]
                assert attestor is not None
                if attestor not in self.silent_attestors:
                    calls.append((self.person(attestor), "amendment_report", self.report(event.amendment)))
            if isinstance(event, NewStorageChallenge) and event.hoster not in self.silent_hosters:
                evidence = self.evidence(event.challenge)
                if evidence:
                    arguments = {"challenge": event.challenge, "evidence": evidence}
                    calls.append((self.person(event.hoster), "submit_storage_challenge", arguments))
        return calls

    def report(self, amendment_id: int, positions: Sequence[int] | None = None) -> dict[str, Any]:
        """A report that these positions (all by default) are stored."""
        amendment = self.amendment(amendment_id)
        chosen = amendment.positions if positions is None else positions
        return {
            "amendment": amendment_id,
            "results": tuple(self.stored(amendment_id, position) for position in chosen),
        }

    def stored(self, amendment_id: int, position: int) -> Stored:
        """Both signatures over a lane."""
        amendment = self.amendment(amendment_id)
        place = amendment.positions.index(position)
        _, tree = lane_of(amendment_id, position, self.contract(amendment.contract).chunks)
        commitment = tree.commitment(LANE_KEY)
        message = commitment_message(self.genesis_hash, amendment.contract, amendment_id, position, commitment)
        encoder, hoster = amendment.encoders[place], amendment.hosters[place]
        assert encoder is not None
        assert hoster is not None
        return Stored(
            position,
            commitment.root,
            commitment.leaf_count,
            commitment.total_bytes,
            commitment.key_hash,
            self.person(encoder).signing.sign(message),
            self.person(hoster).signing.sign(message),
        )

    def evidence(self, challenge_id: int) -> tuple[LeafEvidence, ...]:
        """The answers to all checks of lanes that are not lost."""
        found = []
        for number, check in enumerate(self.challenge(challenge_id).checks):
            if (check.contract, check.position) not in self.bytes_lost:
                stream, tree = lane_of(check.amendment, check.position, self.contract(check.contract).chunks)
                leaf = stream[check.leaf * LEAF_BYTES : (check.leaf + 1) * LEAF_BYTES]
                found.append(LeafEvidence(number, leaf, tree.path(check.leaf)))
        return tuple(found)


LANE_KEY = LaneKey((1 << 1_023) | 1)
