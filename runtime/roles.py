"""What the framework wants from the pallets System and TransactionPayment, and what a pallet may use of its runtime."""

from __future__ import annotations

from typing import Any, Protocol

from runtime.call import DispatchResult, RuntimeCall
from runtime.codec import Codec, Codecs
from runtime.errors import DispatchError
from runtime.events import Event, EventRecord
from runtime.header import Digest
from runtime.origin import Origin
from runtime.storage import StateHost
from runtime.version import RuntimeVersion
from runtime.weights import DispatchClass, DispatchInfo, Weight


class SystemRole(Protocol):
    """What the framework wants from the pallet called System."""

    def initialize(self, number: int, parent_hash: bytes, digest: Digest) -> None:
        """Begin block `number`: clear the events of the block before and set the block's context."""

    def note_initialized(self) -> None:
        """Go from the initialization phase to extrinsic 0."""

    def finalize(self) -> Digest:
        """End the block: forget what only lived during it, return the digest with what the runtime added."""

    def deposit_event(self, event: Event) -> None:
        """Add an event in the current phase."""

    def event_records(self) -> tuple[EventRecord, ...]:
        """Return the events of the block so far."""

    def block_number(self) -> int:
        """Return the number of the current block."""
        ...

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a recent block, None when it is unknown or too old."""

    def nonce(self, account: bytes) -> int:
        """Return the nonce that the account's next transaction must have."""

    def increment_nonce(self, account: bytes) -> None:
        """Count a transaction of the account."""

    def is_referenced(self, account: bytes) -> bool:
        """Tell whether the account exists: has a provider or is self-sufficient."""

    def check_limits(self, info: DispatchInfo, length_bytes: int) -> None:
        """Raise InvalidTransaction(EXHAUSTS_RESOURCES) when the block has no room for such an extrinsic."""

    def register_extrinsic(self, info: DispatchInfo, length_bytes: int) -> None:
        """Count weight and length of an extrinsic that passed `check_limits`."""

    def register_weight(self, weight: Weight, kind: DispatchClass) -> None:
        """Count weight used by hooks."""

    def note_applied(self, result: DispatchResult, info: DispatchInfo) -> None:
        """Deposit ExtrinsicSuccess or ExtrinsicFailed, give unused weight back, go to the next extrinsic."""

    def remaining_weight(self) -> Weight:
        """Return the weight that is left in the block for `on_idle`."""

    def note_finished_extrinsics(self) -> None:
        """Go to the finalization phase."""

    def call_filtered(self) -> DispatchError:
        """Return the error of a call that a filter of its origin stopped."""
        ...


class FeeRole(Protocol):
    """What the framework wants from the pallet called TransactionPayment."""

    def validate(self, account: bytes, info: DispatchInfo, length_bytes: int, tip: int) -> int:
        """Return the priority of a transaction; raises InvalidTransaction(PAYMENT) if the fee cannot be paid."""

    def charge(self, account: bytes, info: DispatchInfo, length_bytes: int, tip: int) -> Any:
        """Take fee and tip before dispatch; the result is handed to `correct`. Raises InvalidTransaction(PAYMENT)."""

    def correct(
        self, charged: Any, account: bytes, info: DispatchInfo, result: DispatchResult, length_bytes: int, tip: int
    ) -> None:
        """Refund what the actual weight did not need, pay the author, deposit TransactionFeePaid."""


class RuntimeRole(Protocol):
    """What a pallet may use of the runtime that it belongs to; `runtime.construct.Runtime` is one."""

    @property
    def version(self) -> RuntimeVersion:
        """What the runtime calls itself."""
        ...

    @property
    def system(self) -> SystemRole:
        """The pallet System."""
        ...

    @property
    def codecs(self) -> Codecs:
        """The codecs of all types, the outer ones included."""
        ...

    @property
    def call_codec(self) -> Codec[RuntimeCall]:
        """The codec of any call."""
        ...

    @property
    def host(self) -> StateHost:
        """Where the state stands that storage items read and write."""
        ...

    def dispatch(self, call: RuntimeCall, origin: Origin) -> DispatchResult:
        """Run a call in a storage transaction of its own, rolled back when it fails."""
        ...

    def weight_of(self, call: RuntimeCall) -> Weight:
        """Return the declared weight of a call."""
        ...

    def class_of(self, call: RuntimeCall) -> DispatchClass:
        """Return the dispatch class of a call."""
        ...

    def write_raw(self, key: bytes, value: bytes | None) -> None:
        """Write bytes under a storage key, None to delete it. Raises OtherError for what the state cannot hold."""
