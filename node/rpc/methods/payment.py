"""`payment_*` and `system_dryRun`: what an extrinsic costs and what it would do."""

from typing import Any

from node.rpc.backend import Backend
from node.rpc.errors import DECODE_ERROR, RUNTIME_ERROR, RpcError
from node.rpc.json import hexadecimal
from node.rpc.parameters import Hash, Hex
from node.rpc.registry import method
from node.rpc.runtime_api import call_runtime
from pallets.block_builder import ApplyExtrinsicResult, dry_run
from pallets.transaction_payment import FeeDetails, RuntimeDispatchInfo
from runtime.codec import codec_for
from runtime.extrinsic import has_right_length
from runtime.types import U32

APPLY_RESULT = codec_for(ApplyExtrinsicResult)
PAYMENT_API = "TransactionPaymentApi"
NO_DISPATCH_INFO = "Unable to query dispatch info."
NO_FEE_DETAILS = "Unable to query fee details."
NO_DRY_RUN = "Unable to dry run extrinsic."


class PaymentMethods:
    """Fees and dry runs at a block, the best one by default."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @method("payment_queryInfo")
    def query_info(self, extrinsic: Hex, at: Hash | None = None) -> Any:
        """Weight (reference time only, as clients of this old method expect), class and fee of an extrinsic.

        The fee is without the tip, a decimal string, in planck.
        """
        info = codec_for(RuntimeDispatchInfo).decode(self._ask("query_info", extrinsic, at, NO_DISPATCH_INFO))
        return {
            "weight": info.weight.ref_time,
            "class": info.class_.name.lower(),
            "partialFee": str(info.partial_fee),
        }

    @method("payment_queryFeeDetails")
    def query_fee_details(self, extrinsic: Hex, at: Hash | None = None) -> Any:
        """The parts of the fee of an extrinsic, hexadecimal, in planck; null when its call is free."""
        fee = codec_for(FeeDetails).decode(self._ask("query_fee_details", extrinsic, at, NO_FEE_DETAILS)).inclusion_fee
        if fee is None:
            return {"inclusionFee": None}
        parts = {"baseFee": fee.base_fee, "lenFee": fee.len_fee, "adjustedWeightFee": fee.adjusted_weight_fee}
        return {"inclusionFee": {name: hex(amount) for name, amount in parts.items()}}

    @method("system_dryRun", "system_dryRunAt", unsafe=True)
    def dry_run(self, extrinsic: Hex, at: Hash | None = None) -> str:
        """What applying an extrinsic on top of a block would give: the SCALE bytes of an `ApplyExtrinsicResult`."""
        check_length_prefix(extrinsic, NO_DRY_RUN)
        header = self.backend.header_at(at)
        outcome = dry_run(self.backend.chain.runtime, header, self.backend.state_at(header.hash), extrinsic)
        return hexadecimal(APPLY_RESULT.encode(outcome))

    def _ask(self, function: str, extrinsic: bytes, at: bytes | None, failure: str) -> bytes:
        check_length_prefix(extrinsic, failure)
        length = codec_for(U32).encode(len(extrinsic))
        block_hash = self.backend.block_at(at)
        try:
            return call_runtime(self.backend, f"{PAYMENT_API}_{function}", extrinsic + length, block_hash)
        except RpcError as error:
            raise RpcError(RUNTIME_ERROR, failure, error.data) from None


def check_length_prefix(extrinsic: bytes, failure: str) -> None:
    """Refuses bytes that are no extrinsic of any runtime; raises RpcError."""
    if not has_right_length(extrinsic):
        raise RpcError(DECODE_ERROR, failure, "the length prefix of the extrinsic is wrong")
