"""What may go wrong in a runtime, as exceptions; each class says what becomes of the block.

`InvalidTransaction` and `InvalidBlock` make the extrinsic or the block invalid, `DispatchError` makes the extrinsic
fail inside a valid block (its changes are rolled back, its fee stays paid). Anything else is a bug and stops the node.
Names, texts and SCALE indices are Substrate's (`sp_runtime::DispatchError`, `TransactionValidityError`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.types import U8, Fixed, Variant, type_path


class RuntimeFault(Exception):
    """Base of every error that a runtime raises on purpose."""


class CodecError(RuntimeFault):
    """Bytes or a value do not fit a SCALE type: `reason`, path inside the type, and when decoding the byte offset."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.path: list[str] = []

    def within(self, segment: str) -> CodecError:
        """Add the enclosing field, variant or item, innermost first."""
        self.path.append(segment)
        return self

    def __str__(self) -> str:
        where = ".".join(reversed(self.path)).replace(".[", "[")
        at = "" if self.offset is None else f" at byte {self.offset}"
        return f"{where or 'value'}{at}: {self.reason}"


class InvalidBlock(RuntimeFault):
    """The block breaks a rule of the chain and must be refused; the text names the rule."""


class InvariantBroken(RuntimeFault):
    """`try_state` found a state that no sequence of calls may produce."""


class Validity(enum.Enum):
    """Why a transaction is invalid, with Substrate's texts.

    All but the last two are `sp_runtime::InvalidTransaction` in its order; those are `UnknownTransaction`'s first.
    """

    CALL = "Transaction call is not expected"
    PAYMENT = "Inability to pay some fees (e.g. account balance too low)"
    FUTURE = "Transaction will be valid in the future"
    STALE = "Transaction is outdated"
    BAD_PROOF = "Transaction has a bad signature"
    ANCIENT_BIRTH_BLOCK = "Transaction has an ancient birth block"
    EXHAUSTS_RESOURCES = "Transaction would exhaust the block limits"
    CUSTOM = "Custom error"
    BAD_MANDATORY = "A call was labelled as mandatory, but resulted in an Error."
    MANDATORY_VALIDATION = "Transaction dispatch is mandatory; transactions must not be validated."
    BAD_SIGNER = "Invalid signing address"
    CANNOT_LOOKUP = "Could not lookup information required to validate the transaction"
    NO_UNSIGNED_VALIDATOR = "Could not find an unsigned validator for the unsigned transaction"

    @property
    def is_unknown(self) -> bool:
        """Whether nothing can be said about the transaction (`UnknownTransaction`)."""
        return self in (Validity.CANNOT_LOOKUP, Validity.NO_UNSIGNED_VALIDATOR)

    @property
    def index(self) -> int:
        """SCALE index inside its error type."""
        members = list(Validity)
        return members.index(self) - (members.index(Validity.CANNOT_LOOKUP) if self.is_unknown else 0)


class InvalidTransaction(RuntimeFault):
    """The extrinsic must not enter a block now; `kind` says why, `custom` is the code of `Validity.CUSTOM`."""

    def __init__(self, kind: Validity, detail: str = "", *, custom: int = 0) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.custom = custom

    @property
    def text(self) -> str:
        """Substrate's sentence for this kind, what clients compare."""
        return f"{self.kind.value}: {self.custom}" if self.kind is Validity.CUSTOM else self.kind.value

    def to_scale(self) -> bytes:
        """Return the SCALE bytes of `sp_runtime::TransactionValidityError`."""
        custom = bytes([self.custom]) if self.kind is Validity.CUSTOM else b""
        return bytes([self.kind.is_unknown, self.kind.index]) + custom

    def __str__(self) -> str:
        return f"{self.text} ({self.detail})" if self.detail else self.text


class MalformedTransaction(InvalidTransaction):
    """The bytes are no extrinsic of this runtime; `detail` says where they stop being one."""

    def __init__(self, detail: str) -> None:
        super().__init__(Validity.CALL, detail)


class PalletError(enum.Enum):
    """Base of a pallet's errors: members in declaration order, each with one sentence as its value."""

    __pallet_index__: ClassVar[int]

    @property
    def index(self) -> int:
        """Position in the declaration, the first byte of `ModuleError.error`."""
        return list(type(self)).index(self)


class TokenErrorKind(enum.Enum):
    """`sp_runtime::TokenError`."""

    FUNDS_UNAVAILABLE = "Funds are unavailable."
    ONLY_PROVIDER = (
        "Some part of the balance gives the only provider reference to the account and thus cannot be (re)moved."
    )
    BELOW_MINIMUM = "Account cannot exist with the funds that would be given."
    CANNOT_CREATE = "Account cannot be created."
    UNKNOWN_ASSET = "The asset in question is unknown."
    FROZEN = "Funds exist but are frozen."
    UNSUPPORTED = "Operation is not supported by the asset."
    CANNOT_CREATE_HOLD = "Account cannot be created for recording amount on hold."
    NOT_EXPENDABLE = "Account that is desired to remain would die."
    BLOCKED = "Account cannot receive the assets."


class ArithmeticKind(enum.Enum):
    """`sp_arithmetic::ArithmeticError`."""

    UNDERFLOW = "An underflow would occur."
    OVERFLOW = "An overflow would occur."
    DIVISION_BY_ZERO = "Division by zero."


class TransactionalKind(enum.Enum):
    """`sp_runtime::TransactionalError`."""

    LIMIT_REACHED = "Too many transactional layers have been spawned."
    NO_LAYER = "A transactional layer was expected, but does not exist."


for _kind, _path in (
    (TokenErrorKind, "sp_runtime::TokenError"),
    (ArithmeticKind, "sp_arithmetic::ArithmeticError"),
    (TransactionalKind, "sp_runtime::TransactionalError"),
):
    setattr(_kind, "__scale_path__", type_path(_path))  # noqa: B010 - an enum body would make it a member


@dataclass(frozen=True)
class ModuleErrorValue:
    """`sp_runtime::ModuleError`: the pallet's index and the error's, the latter padded to four bytes."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::ModuleError")
    index: U8
    error: Annotated[bytes, Fixed(4)]


class DispatchErrorValue(Variant):
    """`sp_runtime::DispatchError`: what events say about a failed call."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::DispatchError")


@dataclass(frozen=True)
class Other(DispatchErrorValue):
    """Some error occurred."""


@dataclass(frozen=True)
class LookupFailed(DispatchErrorValue):
    """Failed to lookup some data."""

    __scale_name__: ClassVar[str] = "CannotLookup"


@dataclass(frozen=True)
class OriginRefused(DispatchErrorValue):
    """A bad origin."""

    __scale_name__: ClassVar[str] = "BadOrigin"


@dataclass(frozen=True)
class Module(DispatchErrorValue, unnamed=True):
    """A custom error in a module."""

    value: ModuleErrorValue


@dataclass(frozen=True)
class ConsumerRemaining(DispatchErrorValue):
    """At least one consumer is remaining so the account cannot be destroyed."""


@dataclass(frozen=True)
class NoProviders(DispatchErrorValue):
    """There are no providers so the account cannot be created."""


@dataclass(frozen=True)
class TooManyConsumers(DispatchErrorValue):
    """There are too many consumers so the account cannot be created."""


@dataclass(frozen=True)
class Token(DispatchErrorValue, unnamed=True):
    """An error to do with tokens."""

    kind: TokenErrorKind


@dataclass(frozen=True)
class Arithmetic(DispatchErrorValue, unnamed=True):
    """An arithmetic error."""

    kind: ArithmeticKind


@dataclass(frozen=True)
class Transactional(DispatchErrorValue, unnamed=True):
    """The number of transactional layers has been reached, or we are not in a transactional layer."""

    kind: TransactionalKind


@dataclass(frozen=True)
class Exhausted(DispatchErrorValue):
    """Resources exhausted, e.g. attempt to read/write data which is too large to manipulate."""


@dataclass(frozen=True)
class Corruption(DispatchErrorValue):
    """The state is corrupt; this is generally not going to fix itself."""


@dataclass(frozen=True)
class Unavailable(DispatchErrorValue):
    """Some resource is temporarily unavailable."""


@dataclass(frozen=True)
class RootNotAllowed(DispatchErrorValue):
    """Root origin is not allowed."""


class DispatchError(RuntimeFault):
    """A call failed: its changes are rolled back and the event carries `to_scale()`."""

    def __init__(self, value: DispatchErrorValue, text: str) -> None:
        super().__init__(text)
        self.value = value

    def to_scale(self) -> DispatchErrorValue:
        """Return the value of the metadata type `sp_runtime::DispatchError`."""
        return self.value


class ModuleError(DispatchError):
    """A pallet's own error, named by its member."""

    def __init__(self, error: PalletError) -> None:
        self.error = error
        super().__init__(Other(), f"{type(error).__name__}.{error.name}: {error.value}")

    def to_scale(self) -> DispatchErrorValue:
        """Return the pallet's and the error's index; the pallet must be part of a runtime."""
        return Module(ModuleErrorValue(type(self.error).__pallet_index__, bytes([self.error.index, 0, 0, 0])))


class BadOrigin(DispatchError):
    """The call wants another origin than it got."""

    def __init__(self) -> None:
        super().__init__(OriginRefused(), "bad origin")


class CannotLookup(DispatchError):
    """An address does not name an account."""

    def __init__(self) -> None:
        super().__init__(LookupFailed(), "address cannot be looked up")


class OtherError(DispatchError):
    """A failure that is nothing else; the text stays on this node, the chain stores only `Other`."""

    def __init__(self, text: str = "other") -> None:
        super().__init__(Other(), text)


class TokenError(DispatchError):
    """A failure to do with tokens."""

    def __init__(self, kind: TokenErrorKind) -> None:
        self.kind = kind
        super().__init__(Token(kind), kind.value)


class TransactionalFault(DispatchError):
    """Too many calls or storage transactions are nested."""

    def __init__(self, kind: TransactionalKind = TransactionalKind.LIMIT_REACHED) -> None:
        super().__init__(Transactional(kind), kind.value)


class SimpleFault(DispatchError):
    """One of the variants without fields: ConsumerRemaining, NoProviders, TooManyConsumers, Unavailable …"""

    def __init__(self, value: DispatchErrorValue) -> None:
        super().__init__(value, type(value).__name__)


class ExhaustedError(DispatchError):
    """A resource of the block or of the chain is used up."""

    def __init__(self) -> None:
        super().__init__(Exhausted(), "resources exhausted")


def ensure(condition: bool, error: PalletError) -> None:
    """Raise `ModuleError(error)` unless the condition holds."""
    if not condition:
        raise ModuleError(error)
