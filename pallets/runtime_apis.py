"""The runtime APIs that read pallets; those that every runtime answers are in `runtime.api`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, cast

from pallets.aura import Aura as AuraPallet
from pallets.block_builder import BlockBuilder
from pallets.datdot import items
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    Amendment,
    Contract,
    Feed,
    ItemId,
    PerformanceChallenge,
    Plan,
    StorageChallenge,
    User,
)
from pallets.timestamp import Timestamp as TimestampPallet
from pallets.transaction_payment import FeeDetails, RuntimeDispatchInfo, TransactionPayment
from runtime.api import FRAMEWORK_APIS, OpaqueExtrinsic, RuntimeApi, RuntimeApis
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.pallet import Pallet
from runtime.types import U32, U64, U128, AccountId, Bytes32, Outer
from runtime.weights import DispatchInfo, Pays, Weight

AnyCall = Annotated[RuntimeCall, Outer("RuntimeCall")]


class TransactionPaymentApi(RuntimeApi):
    """What transactions cost."""

    name = "TransactionPaymentApi"
    api_version = 4

    def query_info(self, uxt: OpaqueExtrinsic, len: U32) -> RuntimeDispatchInfo:
        """Weight, class and fee without the tip of an extrinsic of `len` bytes; without a signature it is free."""
        return _fees(self.runtime).query_info(self._info(uxt), len)

    def query_fee_details(self, uxt: OpaqueExtrinsic, len: U32) -> FeeDetails:
        """The parts of the fee of an extrinsic of `len` bytes; without a signature it is free."""
        return _fees(self.runtime).fee_details(self._info(uxt), len)

    def _info(self, uxt: bytes) -> DispatchInfo:
        extrinsic = self.runtime.extrinsic_codec.decode(uxt)
        info = self.runtime.dispatch_info(extrinsic.call)
        return info if extrinsic.signed is not None else replace(info, pays_fee=Pays.NO)

    def query_weight_to_fee(self, weight: Weight) -> U128:
        """What a weight costs before the multiplier."""
        return _fees(self.runtime).weight_to_fee(weight)

    def query_length_to_fee(self, length: U32) -> U128:
        """What the length of an extrinsic costs."""
        return _fees(self.runtime).length_to_fee(length)


class TransactionPaymentCallApi(RuntimeApi):
    """What calls cost before anybody has signed them."""

    name = "TransactionPaymentCallApi"
    api_version = 3

    def query_call_info(self, call: AnyCall, len: U32) -> RuntimeDispatchInfo:
        """Weight, class and fee without the tip of an extrinsic of `len` bytes that holds the call."""
        return _fees(self.runtime).query_info(self.runtime.dispatch_info(call), len)

    def query_call_fee_details(self, call: AnyCall, len: U32) -> FeeDetails:
        """The parts of the fee of an extrinsic of `len` bytes that holds the call."""
        return _fees(self.runtime).fee_details(self.runtime.dispatch_info(call), len)

    def query_weight_to_fee(self, weight: Weight) -> U128:
        """What a weight costs before the multiplier."""
        return _fees(self.runtime).weight_to_fee(weight)

    def query_length_to_fee(self, length: U32) -> U128:
        """What the length of an extrinsic costs."""
        return _fees(self.runtime).length_to_fee(length)


def _fees(runtime: Runtime) -> TransactionPayment:
    return cast("TransactionPayment", runtime.pallet(TransactionPayment.name))


class AuraApi(RuntimeApi):
    """Who makes blocks, and how often."""

    name = "AuraApi"
    api_version = 1

    def slot_duration(self) -> U64:
        """The length of a slot, milliseconds."""
        return self._aura.config.slot_duration

    def authorities(self) -> tuple[AccountId, ...]:
        """The authorities in the order of their slots."""
        return self._aura.authorities()

    @property
    def _aura(self) -> AuraPallet:
        return cast("AuraPallet", self.runtime.pallet(AuraPallet.name))


class DatDotApi(RuntimeApi):
    """Storage queries of the hosting market; an unknown id or key answers none."""

    name = "DatDotApi"
    api_version = 1

    def get_item_by_id(self, id: ItemId) -> items.Item | None:
        """What an id stands for."""
        return self._market.item_by_id.get(id)

    def get_user_by_id(self, id: ItemId) -> User | None:
        """A user."""
        return self._market.user_by_id.get(id)

    def get_user_id_by_noise_key(self, key: Bytes32) -> ItemId | None:
        """The id of the user with a noise key."""
        return self._market.user_id_by_noise_key.get(key)

    def get_user_id_by_signing_key(self, key: Bytes32) -> ItemId | None:
        """The id of the user with a signing key."""
        return self._market.user_id_by_signing_key.get(key)

    def get_feed_by_id(self, id: ItemId) -> Feed | None:
        """A feed."""
        return self._market.feed_by_id.get(id)

    def get_feed_by_key(self, key: Bytes32) -> ItemId | None:
        """The id of the feed with a key."""
        return self._market.feed_by_key.get(key)

    def get_plan_by_id(self, id: ItemId) -> Plan | None:
        """A plan."""
        return self._market.plan_by_id.get(id)

    def get_amendment_by_id(self, id: ItemId) -> Amendment | None:
        """An amendment: which providers a contract got."""
        return self._market.amendment_by_id.get(id)

    def get_contract_by_id(self, id: ItemId) -> Contract | None:
        """A contract."""
        return self._market.contract_by_id.get(id)

    def get_storage_challenge_by_id(self, id: ItemId) -> StorageChallenge | None:
        """A storage challenge; a settled one is forgotten when its hoster's next one is settled."""
        return self._market.storage_challenge_by_id.get(id)

    def get_performance_challenge_by_id(self, id: ItemId) -> PerformanceChallenge | None:
        """A measurement of delivery."""
        return self._market.performance_challenge_by_id.get(id)

    @property
    def _market(self) -> Market:
        return cast("Market", self.runtime.pallet(Market.name))


APIS: tuple[type[RuntimeApi], ...] = (
    *FRAMEWORK_APIS,
    BlockBuilder,
    TransactionPaymentApi,
    TransactionPaymentCallApi,
    AuraApi,
    DatDotApi,
)
"""Everything that a runtime of these pallets answers."""

_READS: dict[type[RuntimeApi], str] = {
    BlockBuilder: TimestampPallet.name,
    TransactionPaymentApi: TransactionPayment.name,
    TransactionPaymentCallApi: TransactionPayment.name,
    AuraApi: AuraPallet.name,
    DatDotApi: Market.name,
}
"""The pallet that an API reads: a runtime without it does not have the API."""


def apis_of(pallets: Iterable[Pallet]) -> tuple[type[RuntimeApi], ...]:
    """The APIs that a runtime of these pallets answers."""
    present = {pallet.name for pallet in pallets}
    return tuple(api for api in APIS if api not in _READS or _READS[api] in present)


@lru_cache(maxsize=4)
def runtime_apis(runtime: Runtime) -> RuntimeApis:
    """All APIs that a runtime can answer."""
    return RuntimeApis(runtime, apis_of(runtime.pallets))
