"""The market's state: every storage item, the pallets it leans on, and reading entities by id."""

from typing import TypeVar

from pallets.balances import Balances
from pallets.datdot import items
from pallets.datdot.agenda import Bounds, Due, Line
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import DatDotError, DatDotEvent
from pallets.datdot.types import (
    Amendment,
    BlockNumber,
    Bookings,
    Contract,
    Feed,
    Hosting,
    ItemId,
    PerformanceChallenge,
    Plan,
    PlanFunds,
    PoolEntry,
    Role,
    RoleData,
    StorageChallenge,
    User,
)
from pallets.randomness import Randomness
from pallets.scheduler import Scheduler
from pallets.system import System
from runtime.errors import InvariantBroken, ensure
from runtime.pallet import Pallet
from runtime.storage import BLAKE2_128_CONCAT, TWOX_64_CONCAT, StorageDoubleMap, StorageMap, StorageValue
from runtime.types import H256, U32, U64, AccountId, Bytes32

T = TypeVar("T")

NO_BOOKINGS = Bookings(0, ())
NO_HOSTING = Hosting((), (), None, False, (), None)


class Market(Pallet):
    """State of the hosting market. Logic lives in modules of functions that take a Market as their first argument."""

    name = "DatDot"
    index = 20
    Config = DatDotConfig
    Event = DatDotEvent
    Error = DatDotError
    config: DatDotConfig

    next_item_id = StorageValue(ItemId, default=1, name="NextItemID", docs="The id that the next item gets.")
    item_by_id = StorageMap(
        ItemId, items.Item, hasher=TWOX_64_CONCAT, name="GetItemByID",
        docs="What an id stands for; components carry their value, entities are found in the map of their kind.",
    )
    component_by_hash = StorageMap(
        H256, ItemId, hasher=BLAKE2_128_CONCAT, name="GetComponentByHash",
        docs="The id of a component by the BLAKE2b-256 of its encoded item: equal components are stored once.",
    )

    user_by_id = StorageMap(ItemId, User, hasher=TWOX_64_CONCAT, name="GetUserByID", docs="Users.")
    user_id_by_account = StorageMap(
        AccountId, ItemId, hasher=BLAKE2_128_CONCAT, name="GetUserIDByAccount", docs="The user of an account.",
    )
    user_id_by_noise_key = StorageMap(
        Bytes32, ItemId, hasher=BLAKE2_128_CONCAT, name="GetUserIDByNoiseKey", docs="The user with a noise key.",
    )
    user_id_by_signing_key = StorageMap(
        Bytes32, ItemId, hasher=BLAKE2_128_CONCAT, name="GetUserIDBySigningKey", docs="The user with a signing key.",
    )
    roles = StorageDoubleMap(
        (Role, TWOX_64_CONCAT), (ItemId, TWOX_64_CONCAT), RoleData, name="Roles", docs="Users in their roles.",
    )
    bookings = StorageMap(
        ItemId, Bookings, hasher=TWOX_64_CONCAT, default=NO_BOOKINGS, name="BookingsOf",
        docs="What a user has to do, by amendment, with the storage set aside for it.",
    )
    hosting = StorageMap(
        ItemId, Hosting, hasher=TWOX_64_CONCAT, default=NO_HOSTING, name="HostingOf",
        docs="The live lanes of a hoster and its storage challenges.",
    )
    pool_size = StorageMap(
        Role, U32, hasher=TWOX_64_CONCAT, default=0, name="IdleCount", docs="Providers with a free slot, by role.",
    )
    pool = StorageDoubleMap(
        (Role, TWOX_64_CONCAT), (U32, TWOX_64_CONCAT), PoolEntry, name="IdleAt",
        docs="The idle providers of a role, numbered from 0 without gaps.",
    )
    capacity_gained = StorageValue(
        BlockNumber, default=0, name="CapacityGained", docs="The last block in which a provider got free.",
    )

    feed_by_id = StorageMap(ItemId, Feed, hasher=TWOX_64_CONCAT, name="GetFeedByID", docs="Feeds.")
    feed_by_key = StorageMap(
        Bytes32, ItemId, hasher=BLAKE2_128_CONCAT, name="GetFeedByKey", docs="The id of the feed with a key.",
    )
    plan_by_id = StorageMap(ItemId, Plan, hasher=TWOX_64_CONCAT, name="GetPlanByID", docs="Plans.")
    funds = StorageMap(
        ItemId, PlanFunds, hasher=TWOX_64_CONCAT, name="GetPlanFundsByID", docs="The money of plans not yet ended.",
    )
    contract_by_id = StorageMap(ItemId, Contract, hasher=TWOX_64_CONCAT, name="GetContractByID", docs="Contracts.")
    amendment_by_id = StorageMap(ItemId, Amendment, hasher=TWOX_64_CONCAT, name="GetAmendmentByID", docs="Amendments.")
    storage_challenge_by_id = StorageMap(
        ItemId, StorageChallenge, hasher=TWOX_64_CONCAT, name="GetStorageChallengeByID",
        docs="Storage challenges; a settled one is forgotten when its hoster's next one is settled.",
    )
    performance_challenge_by_id = StorageMap(
        ItemId, PerformanceChallenge, hasher=TWOX_64_CONCAT, name="GetPerformanceChallengeByID",
        docs="Measurements of delivery.",
    )

    line_bounds = StorageMap(
        Line, Bounds, hasher=TWOX_64_CONCAT, default=Bounds(0, 0, 0), name="LineBounds",
        docs="Number of the first of a line, of the one after its last, and how many may be served.",
    )
    line = StorageDoubleMap(
        (Line, TWOX_64_CONCAT), (U64, TWOX_64_CONCAT), ItemId, name="LineAt", docs="Who waits in a line, by number.",
    )
    due_count = StorageMap(
        BlockNumber, U32, hasher=TWOX_64_CONCAT, default=0, name="DueCount", docs="How many tasks are due in a block.",
    )
    due = StorageDoubleMap(
        (BlockNumber, TWOX_64_CONCAT), (U32, TWOX_64_CONCAT), Due, name="DueAt", docs="Tasks by block and number.",
    )
    due_cursor = StorageValue(
        tuple[BlockNumber, U32], default=(0, 0), name="DueCursor", docs="The next task of the calendar: block, number.",
    )

    def __init__(
        self, config: DatDotConfig, *, system: System, balances: Balances, randomness: Randomness, scheduler: Scheduler
    ) -> None:
        """Wire the market to its runtime.

        The seed's Trait has six items that are types in Rust. Here `Event` is `DatDotEvent`, `Hash` BLAKE2b-256,
        `Proposal` and `PalletsOrigin` are the runtime's call and `Root`, `Randomness` and `Scheduler` these arguments.
        """
        super().__init__(config)
        self.system = system
        self.balances = balances
        self.randomness = randomness
        self.scheduler = scheduler

    def now(self) -> int:
        """Number of the block being executed."""
        return self.system.block_number()

    def genesis_hash(self) -> bytes:
        """Hash of block 0: names this chain in signed statements."""
        genesis = self.system.block_hash(0)
        if genesis is None:
            raise InvariantBroken("the hash of block 0 is not in the state")
        return genesis

    def new_id(self, item: items.Item) -> int:
        """Store what the next id stands for and return that id."""
        item_id = self.next_item_id.get()
        self.next_item_id.put(item_id + 1)
        self.item_by_id.put(item_id, item)
        return item_id

    def forget(self, item_id: int) -> None:
        """Free an id; it is never given out again."""
        self.item_by_id.remove(item_id)

    def caller(self, account: bytes) -> int:
        """The user id of an account; fails with UNKNOWN_USER."""
        user_id = self.user_id_by_account.get(account)
        ensure(user_id is not None, DatDotError.UNKNOWN_USER)
        assert user_id is not None
        return user_id

    def user(self, user_id: int) -> User:
        """A user that must exist."""
        return _present(self.user_by_id.get(user_id), "user", user_id)

    def plan(self, plan_id: int) -> Plan:
        """A plan that must exist."""
        return _present(self.plan_by_id.get(plan_id), "plan", plan_id)

    def contract(self, contract_id: int) -> Contract:
        """A contract that must exist."""
        return _present(self.contract_by_id.get(contract_id), "contract", contract_id)

    def amendment(self, amendment_id: int) -> Amendment:
        """An amendment that must exist."""
        return _present(self.amendment_by_id.get(amendment_id), "amendment", amendment_id)

    def challenge(self, challenge_id: int) -> StorageChallenge:
        """A storage challenge that must exist."""
        return _present(self.storage_challenge_by_id.get(challenge_id), "storage challenge", challenge_id)

    def funds_of(self, plan_id: int) -> PlanFunds:
        """The money of a plan that is not yet over."""
        return _present(self.funds.get(plan_id), "funds of plan", plan_id)


def _present(value: T | None, kind: str, item_id: int) -> T:
    if value is None:
        raise InvariantBroken(f"{kind} {item_id} is missing")
    return value
