"""What happens in System and why its calls fail, with FRAME system's names and indices."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import DispatchErrorValue, PalletError
from runtime.events import Event
from runtime.types import H256, AccountId
from runtime.weights import DispatchInfo


class SystemErrors(PalletError):
    """FRAME system's errors."""

    InvalidSpecName = "The name of specification does not match between the current runtime and the new runtime."
    SpecVersionNeedsToIncrease = "The specification version is not allowed to decrease between the runtimes."
    FailedToExtractRuntimeVersion = "Failed to extract the runtime version from the new runtime."
    NonDefaultComposite = "Suicide called when the account has non-default composite data."
    NonZeroRefCount = "There is a non-zero reference count preventing the account from being purged."
    CallFiltered = "The origin filter prevent the call to be dispatched."


class SystemEvent(Event):
    """FRAME system's events."""


@dataclass(frozen=True)
class ExtrinsicSuccess(SystemEvent, index=0):
    """An extrinsic completed successfully."""

    dispatch_info: DispatchInfo


@dataclass(frozen=True)
class ExtrinsicFailed(SystemEvent, index=1):
    """An extrinsic failed."""

    dispatch_error: DispatchErrorValue
    dispatch_info: DispatchInfo


@dataclass(frozen=True)
class CodeUpdated(SystemEvent, index=2):
    """`:code` was updated."""


@dataclass(frozen=True)
class NewAccount(SystemEvent, index=3):
    """A new account was created."""

    account: AccountId


@dataclass(frozen=True)
class KilledAccount(SystemEvent, index=4):
    """An account was reaped."""

    account: AccountId


@dataclass(frozen=True)
class Remarked(SystemEvent, index=5):
    """On on-chain remark happened."""

    sender: AccountId
    hash: H256
