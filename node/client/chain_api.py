"""The market's public functions and storage queries, written once over any `ChainConnection`.

    name of the seed               ours                              what it is on the chain

    getBlockNumber                 get_block_number                  the head
    newUser                        new_user                          call DatDot.new_user
    registerForWork                register_for_work                 call DatDot.register_for_work
    publishFeed                    publish_feed                      call DatDot.publish_feed
    publishPlan                    publish_plan                      call DatDot.publish_plan
    amendmentReport                amendment_report                  call DatDot.amendment_report
    submitStorageChallenge         submit_storage_challenge          call DatDot.submit_storage_challenge
    submitPerformanceChallenge     submit_performance_challenge      call DatDot.submit_performance_challenge
    listenToEvents                 listen_to_events                  System.Events of each block
    getFeedByID           (query)  get_feed_by_id                    DatDot.GetFeedByID
    getPlanByID           (query)  get_plan_by_id                    DatDot.GetPlanByID
    getAmendmentByID      (query)  get_amendment_by_id               DatDot.GetAmendmentByID
    getContractByID       (query)  get_contract_by_id                DatDot.GetContractByID
    getStorageChallengeByID     "  get_storage_challenge_by_id       DatDot.GetStorageChallengeByID
    getPerformanceChallengeByID "  get_performance_challenge_by_id   DatDot.GetPerformanceChallengeByID
    getItemByID           (query)  get_item_by_id                    DatDot.GetItemByID and the map of the item's kind
    getFeedKey                     get_feed_key                      `key` of DatDot.GetFeedByID
    getUserAddress                 get_user_address                  `account` of DatDot.GetUserByID, as SS58
    getUserIDByNoiseKey   (query)  get_user_id_by_noise_key          DatDot.GetUserIDByNoiseKey
    getUserIDBySigningKey (query)  get_user_id_by_signing_key        DatDot.GetUserIDBySigningKey
    getHosterKey                   get_hoster_key                    `noise_key` of DatDot.GetUserByID
    getEncoderKey                  get_encoder_key                   `noise_key` of DatDot.GetUserByID
    getAttestorKey                 get_attestor_key                  `noise_key` of DatDot.GetUserByID
    getSigningKey                  get_signing_key                   `signing_key` of DatDot.GetUserByID
    getUserByID     (query alone)  get_user_by_id                    DatDot.GetUserByID
    getFeedByKey    (query alone)  get_feed_by_key                   DatDot.GetFeedByKey

Queries give None for what does not exist. Their values are the classes of `pallets.datdot.types`; from a chain whose
type has other fields, a `node.client.generic.Record` with those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from node.client.chain import BlockEvents, ChainConnection, Receipt, Retracted
from node.client.errors import BadAnswer, ClientError
from node.client.generic import field_of, variant_name
from pallets.datdot.components import (
    Components,
    FormInput,
    KeyProofs,
    LeafEvidence,
    PlanInput,
    PositionResult,
    RoleOffer,
)
from pallets.datdot.events import NewPlan, NewUser
from pallets.datdot.types import Amendment, Contract, Feed, PerformanceChallenge, Plan, StorageChallenge, User
from runtime.call import RuntimeCall
from runtime.crypto import ss58_encode
from runtime.extrinsic import Signer

E = TypeVar("E")

PALLET: Final = "DatDot"
ENTITIES: Final = ("User", "Feed", "Plan", "Contract", "Amendment", "StorageChallenge", "PerformanceChallenge")
"""Kinds of items that live in a map of their own, Get…ByID."""


class CallFailed(ClientError):
    """The chain included a call and refused what it asks: nothing of it is left but the fee. `receipt` has the rest."""

    def __init__(self, text: str, receipt: Receipt) -> None:
        super().__init__(text)
        self.receipt = receipt


@dataclass(frozen=True)
class Item:
    """What an id stands for: its kind, such as "Feed" or "Dataset", and its value."""

    id: int
    type: str
    value: Any


class ChainAPI:
    """A chain's market. Functions that send a call wait for its block, or its finality; `signer` is who signs them.

    Raises `CallFailed` when the chain refused the call, `SubmitFailed` when it is in no block, `NotSupported` when the
    chain lacks it, `ConnectionLost` when the node went away and did not come back.
    """

    def __init__(self, connection: ChainConnection, signer: Signer | None = None, *, finalized: bool = False) -> None:
        self.connection = connection
        self.signer = signer
        self.finalized = finalized

    # --- any call, any storage item

    async def call(self, pallet: str, function: str, /, *, tip: int = 0, **arguments: Any) -> Receipt:
        """Sign and send any call; its arguments by their names in the chain's metadata.

        >>> await chain.call("Balances", "transfer_keep_alive", dest=Id(account), value=5)
        """
        if self.signer is None:
            raise ClientError("nobody signs: give open_chain a signer, such as keypair_from_uri('//Alice')")
        call = RuntimeCall(pallet, function, arguments)
        receipt = await self.connection.submit(call, self.signer, tip=tip, finalized=self.finalized)
        if receipt.error is not None:
            raise CallFailed(f"the chain refused {call.name}: {self.connection.error_text(receipt.error)}", receipt)
        return receipt

    async def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The value of any storage item at a block, the best one by default.

        >>> await chain.query("System", "Account", account)
        """
        return await self.connection.query(pallet, item, *keys, at=at)

    # --- users

    async def new_user(self, noise_key: bytes, signing_key: bytes, key_proofs: KeyProofs) -> int:
        """Join the market with two ed25519 keys; the user's id. `node.roles.identity` makes keys and proofs.

        >>> me = ProviderIdentity.of(keypair)
        >>> await chain.new_user(me.noise_key, me.signing_key, me.key_proofs(chain.connection.genesis_hash))
        """
        receipt = await self.call(
            PALLET, "new_user", noise_key=noise_key, signing_key=signing_key, key_proofs=key_proofs
        )
        return _told(receipt, NewUser).user

    async def register_for_work(self, form: FormInput, components: Components, roles: Sequence[RoleOffer]) -> Receipt:
        """Offer storage and work in roles; a repeated call replaces the form and changes the named roles.

        >>> form = FormInput(None, None, (), (), (), resources=-1, ask=Prices(0, 0, 0, 0, 0))
        >>> offer = Components(resources=(Resources(storage=1 << 30, upload=10**8, download=10**8),))
        >>> await chain.register_for_work(form, offer, [RoleOffer(Role.HOSTER, 64)])
        """
        return await self.call(PALLET, "register_for_work", form=form, components=components, roles=tuple(roles))

    async def get_user_by_id(self, user_id: int, *, at: bytes | None = None) -> User | None:
        """A user."""
        return cast("User | None", await self._get("GetUserByID", user_id, at))

    async def get_user_address(self, user_id: int, *, at: bytes | None = None) -> str | None:
        """A user's account as an SS58 address."""
        account = await self._user_field(user_id, "account", at)
        return None if account is None else ss58_encode(account)

    async def get_user_id_by_noise_key(self, noise_key: bytes, *, at: bytes | None = None) -> int | None:
        """The user with a noise key."""
        return cast("int | None", await self._get("GetUserIDByNoiseKey", noise_key, at))

    async def get_user_id_by_signing_key(self, signing_key: bytes, *, at: bytes | None = None) -> int | None:
        """The user with a signing key."""
        return cast("int | None", await self._get("GetUserIDBySigningKey", signing_key, at))

    async def get_hoster_key(self, user_id: int, *, at: bytes | None = None) -> bytes | None:
        """The noise key that dials a hoster, 32 bytes."""
        return await self._user_field(user_id, "noise_key", at)

    async def get_encoder_key(self, user_id: int, *, at: bytes | None = None) -> bytes | None:
        """The noise key that dials an encoder, 32 bytes."""
        return await self._user_field(user_id, "noise_key", at)

    async def get_attestor_key(self, user_id: int, *, at: bytes | None = None) -> bytes | None:
        """The noise key that dials an attestor, 32 bytes."""
        return await self._user_field(user_id, "noise_key", at)

    async def get_signing_key(self, user_id: int, *, at: bytes | None = None) -> bytes | None:
        """The key that a user signs statements with, 32 bytes."""
        return await self._user_field(user_id, "signing_key", at)

    # --- feeds and plans

    async def publish_feed(self, key: bytes, head_proof: bytes) -> int:
        """Make a hypercore known by its key and a signed head; its id, also when it was known before.

        >>> await chain.publish_feed(core.key, core.head_proof())
        """
        receipt = await self.call(PALLET, "publish_feed", key=key, head_proof=head_proof)
        feed_id = await self.get_feed_by_key(key, at=receipt.block_hash)
        if feed_id is None:
            raise BadAnswer("the call was included and yet the chain does not know the feed")
        return feed_id

    async def publish_plan(self, plan: PlanInput, components: Components, deposit: int) -> int:
        """Order hosting and put the deposit (planck) into escrow; the plan's id.

        >>> program = ProgramInput(datasets=(-1,), regions=(), performances=())
        >>> dataset = DatasetInput(feed_id, ranges=((0, 9),), sizes_proofs=(proof,))
        >>> plan = PlanInput(from_=None, until=1_000, program=(program,), prices=None)
        >>> await chain.publish_plan(plan, Components(datasets=(dataset,)), deposit=10**9)
        """
        receipt = await self.call(PALLET, "publish_plan", plan=plan, components=components, deposit=deposit)
        return _told(receipt, NewPlan).plan

    async def get_feed_by_id(self, feed_id: int, *, at: bytes | None = None) -> Feed | None:
        """A feed."""
        return cast("Feed | None", await self._get("GetFeedByID", feed_id, at))

    async def get_feed_by_key(self, key: bytes, *, at: bytes | None = None) -> int | None:
        """The id of the feed with a key."""
        return cast("int | None", await self._get("GetFeedByKey", key, at))

    async def get_feed_key(self, feed_id: int, *, at: bytes | None = None) -> bytes | None:
        """The key of a feed, 32 bytes."""
        feed = await self.get_feed_by_id(feed_id, at=at)
        return None if feed is None else cast(bytes, field_of(feed, "key"))

    async def get_plan_by_id(self, plan_id: int, *, at: bytes | None = None) -> Plan | None:
        """A plan."""
        return cast("Plan | None", await self._get("GetPlanByID", plan_id, at))

    async def get_contract_by_id(self, contract_id: int, *, at: bytes | None = None) -> Contract | None:
        """A contract."""
        return cast("Contract | None", await self._get("GetContractByID", contract_id, at))

    # --- work

    async def amendment_report(self, amendment_id: int, results: Sequence[PositionResult]) -> Receipt:
        """Report as an attestor what became of the positions of an amendment."""
        return await self.call(PALLET, "amendment_report", amendment=amendment_id, results=tuple(results))

    async def submit_storage_challenge(self, challenge_id: int, evidence: Sequence[LeafEvidence]) -> Receipt:
        """Answer a storage challenge, whole or in parts."""
        answers = tuple(evidence)
        return await self.call(PALLET, "submit_storage_challenge", challenge=challenge_id, evidence=answers)

    async def submit_performance_challenge(self, challenge_id: int, reports: Any, **more: Any) -> Receipt:
        """Report how hosters delivered; `more` are the further arguments that the chain's metadata names.

        Raises NotSupported on a chain without proof of delivery.
        """
        return await self.call(
            PALLET, "submit_performance_challenge", challenge=challenge_id, reports=reports, **more
        )

    async def get_amendment_by_id(self, amendment_id: int, *, at: bytes | None = None) -> Amendment | None:
        """An amendment."""
        return cast("Amendment | None", await self._get("GetAmendmentByID", amendment_id, at))

    async def get_storage_challenge_by_id(
        self, challenge_id: int, *, at: bytes | None = None
    ) -> StorageChallenge | None:
        """A storage challenge; settled ones are forgotten after a while."""
        return cast("StorageChallenge | None", await self._get("GetStorageChallengeByID", challenge_id, at))

    async def get_performance_challenge_by_id(
        self, challenge_id: int, *, at: bytes | None = None
    ) -> PerformanceChallenge | None:
        """A performance challenge."""
        return cast("PerformanceChallenge | None", await self._get("GetPerformanceChallengeByID", challenge_id, at))

    async def get_item_by_id(self, item_id: int, *, at: bytes | None = None) -> Item | None:
        """Whatever an id stands for, with its kind."""
        at = (await self.connection.head()).hash if at is None else at
        item = await self._get("GetItemByID", item_id, at)
        if item is None:
            return None
        kind = variant_name(item)
        value = await self._get(f"Get{kind}ByID", item_id, at) if kind in ENTITIES else field_of(item, "value")
        return Item(item_id, kind, value)

    # --- blocks

    async def get_block_number(self, *, finalized: bool = False) -> int:
        """The number of the best block, or of the finalized one."""
        return (await self.connection.head(finalized=finalized)).number

    @asynccontextmanager
    async def listen_to_events(
        self, from_block: int | bytes | None = None, *, finalized: bool = False
    ) -> AsyncIterator[AsyncIterator[BlockEvents | Retracted]]:
        """Every block with its events, from a block on (its number or hash; without it the next one) and for ever.

        On the best chain a reorganisation is told as `Retracted` blocks, newest first, before those in their place.

        >>> async with chain.listen_to_events(from_block=0) as blocks:
        ...     async for block in blocks:
        ...         if isinstance(block, BlockEvents):
        ...             print(block.number, block.of(NewFeed))
        """
        async with aclosing(self.connection.events(from_block, finalized=finalized)) as blocks:
            yield blocks

    async def _get(self, item: str, key: Any, at: bytes | None) -> Any:
        return await self.connection.query(PALLET, item, key, at=at)

    async def _user_field(self, user_id: int, field: str, at: bytes | None) -> bytes | None:
        user = await self.get_user_by_id(user_id, at=at)
        return None if user is None else cast(bytes, field_of(user, field))


def _told(receipt: Receipt, kind: type[E]) -> E:
    """The event of a class that a call must have made."""
    for event in receipt.events:
        if isinstance(event, kind):
            return event
    raise BadAnswer(f"the call was included and yet told of no {kind.__name__}")
