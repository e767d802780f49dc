"""Runtime APIs: functions that clients run at a block (`state_call`), declared by their signatures.

    class AccountNonceApi(RuntimeApi):
        "Nonces of accounts."
        name = "AccountNonceApi"
        api_version = 1

        def account_nonce(self, account: AccountId) -> U32:
            "The nonce that the account's next transaction must have."
            return self.runtime.system.nonce(account)

From the declarations come the decoding of arguments, the encoding of results and their description in metadata V15.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

from runtime.api_declaration import ApiDeclaration, method_of
from runtime.codec import Codec, Codecs, codec_for
from runtime.codec_scalars import read_compact
from runtime.construct import Runtime
from runtime.errors import CodecError, InvalidTransaction, Validity
from runtime.header import Header
from runtime.metadata_v15 import metadata_v15
from runtime.state import StateView
from runtime.types import (
    H256,
    U8,
    U32,
    U64,
    AccountId,
    Bytes,
    Err,
    Ok,
    Outer,
    Variant,
    camel_case,
    docs_of,
    type_path,
)
from runtime.validity import validate_transaction
from runtime.version import RuntimeVersion

OpaqueExtrinsic = Annotated[bytes, Outer("UncheckedExtrinsic")]
"""An extrinsic with its length prefix, not decoded; the metadata shows its parts."""

OpaqueMetadata = Annotated[bytes, Outer("OpaqueMetadata")]


class UnknownFunction(Exception):
    """No API of the runtime has a function of this name."""


@dataclass(frozen=True)
class RuntimeApi:
    """Base of the APIs. An instance answers at one block; the runtime is bound to the state after it.

    A `stateless` API reads no state: it answers also where the block's state is no longer kept.
    """

    name: ClassVar[str]
    api_version: ClassVar[int]
    stateless: ClassVar[bool] = False
    apis: RuntimeApis
    header: Header
    view: StateView | None

    @property
    def runtime(self) -> Runtime:
        """The runtime that the functions belong to."""
        return self.apis.runtime

    @classmethod
    def declaration(cls) -> ApiDeclaration:
        """Its functions and what is said of them."""
        public = [found for name, found in vars(cls).items() if inspect.isfunction(found) and name[0] != "_"]
        return ApiDeclaration(cls.name, tuple(method_of(function) for function in public), docs_of(cls))


class RuntimeApis:
    """The APIs of a runtime: runs their functions, describes them in the metadata."""

    def __init__(self, runtime: Runtime, apis: tuple[type[RuntimeApi], ...]) -> None:
        self.runtime = runtime
        self.apis = apis
        self.functions = {
            f"{api.name}_{method.name}": (api, method) for api in apis for method in api.declaration().methods
        }
        self._codecs = Codecs()
        self._codecs.outer.update(runtime.codecs.outer)
        self._codecs.outer["UncheckedExtrinsic"] = Codec("UncheckedExtrinsic", bytes, _read_extrinsic, 1)
        self._codecs.outer["OpaqueMetadata"] = codec_for(Bytes)

    def call(self, name: str, data: bytes, header: Header, view: Callable[[], StateView]) -> bytes:
        """The SCALE result of a function at a block with that state.

        Raises UnknownFunction, CodecError for arguments that are not what the function takes, and whatever `view` does.
        """
        if name not in self.functions:
            raise UnknownFunction(f"the runtime has no API function {name}")
        api, method = self.functions[name]
        arguments, offset = [], 0
        for argument, annotation in method.inputs:
            try:
                value, offset = self._codecs.codec_for(annotation).read(data, offset)
            except CodecError as error:
                raise error.within(argument) from None
            arguments.append(value)
        if offset != len(data):
            raise CodecError(f"{len(data) - offset} bytes are left over after the arguments", offset)
        if api.stateless:
            result = method.function(api(self, header, None), *arguments)
        else:
            state = view()
            with self.runtime.at(state):
                result = method.function(api(self, header, state), *arguments)
        return self._codecs.codec_for(method.output).encode(result)

    @cached_property
    def metadata_v15(self) -> bytes:
        """The metadata, version 15, which names these APIs."""
        apis = [api.declaration() for api in self.apis]
        return metadata_v15(self.runtime.pallets, self.runtime.codecs, apis)

    @property
    def metadata(self) -> dict[int, bytes]:
        """Every version of the metadata that is served."""
        return {14: self.runtime.metadata_v14, 15: self.metadata_v15}


class TransactionSource(enum.Enum):
    """Where a transaction came from."""

    IN_BLOCK = "It is in a block."
    LOCAL = "It comes from this node, an off-chain worker for example."
    EXTERNAL = "It came from outside."


TransactionSource.__scale_path__ = type_path("sp_runtime::transaction_validity::TransactionSource")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ValidTransaction:
    """What a pool needs to know of a valid transaction; longevity in blocks."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::transaction_validity::ValidTransaction")
    priority: U64
    requires: tuple[Bytes, ...]
    provides: tuple[Bytes, ...]
    longevity: U64
    propagate: bool


class InvalidKind(Variant):
    """Why a transaction is invalid."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::transaction_validity::InvalidTransaction")


class UnknownKind(Variant):
    """Why nothing can be said about a transaction."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::transaction_validity::UnknownTransaction")


def _declare_kinds() -> None:
    for kind in Validity:
        root = UnknownKind if kind.is_unknown else InvalidKind
        body = {"__doc__": f"{kind.value}.", "__module__": __name__}
        if kind is Validity.CUSTOM:
            body["__annotations__"] = {"code": U8}  # type: ignore[assignment]
        made = types.new_class(
            camel_case(kind.name),
            (root,),
            {"index": kind.index, "unnamed": True},
            lambda space, body=body: space.update(body),  # type: ignore[misc]
        )
        dataclass(frozen=True)(made)


_declare_kinds()


class TransactionValidityError(Variant):
    """Why a transaction must not enter a block."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::transaction_validity::TransactionValidityError")


@dataclass(frozen=True)
class Invalid(TransactionValidityError, index=0, unnamed=True):
    """It is invalid."""

    kind: InvalidKind


@dataclass(frozen=True)
class Unknown(TransactionValidityError, index=1, unnamed=True):
    """It cannot be told whether it is valid."""

    kind: UnknownKind


class Core(RuntimeApi):
    """What the runtime is."""

    name = "Core"
    api_version = 5
    stateless = True

    def version(self) -> RuntimeVersion:
        """The version of the runtime."""
        return self.runtime.version


class Metadata(RuntimeApi):
    """The runtime's description of itself."""

    name = "Metadata"
    api_version = 2
    stateless = True

    def metadata(self) -> OpaqueMetadata:
        """The metadata, version 14."""
        return self.runtime.metadata_v14

    def metadata_at_version(self, version: U32) -> OpaqueMetadata | None:
        """The metadata of a version, none if that one is not served."""
        return self.apis.metadata.get(version)

    def metadata_versions(self) -> tuple[U32, ...]:
        """The versions that are served."""
        return tuple(sorted(self.apis.metadata))


class AccountNonceApi(RuntimeApi):
    """Nonces of accounts."""

    name = "AccountNonceApi"
    api_version = 1

    def account_nonce(self, account: AccountId) -> U32:
        """The nonce that the account's next transaction must have."""
        return self.runtime.system.nonce(account)


class TaggedTransactionQueue(RuntimeApi):
    """Whether transactions may enter the pool."""

    name = "TaggedTransactionQueue"
    api_version = 3

    def validate_transaction(
        self, source: TransactionSource, tx: OpaqueExtrinsic, block_hash: H256
    ) -> Ok[ValidTransaction] | Err[TransactionValidityError]:
        """Judges a transaction on top of the block of the call; `source` and `block_hash` change nothing."""
        assert self.view is not None
        try:
            valid = validate_transaction(self.runtime, self.header, self.view, tx)
        except InvalidTransaction as error:
            return Err(codec_for(TransactionValidityError).decode(error.to_scale()))
        longest = 2**64 - 1
        priority, longevity = min(valid.priority, longest), min(valid.longevity, longest)
        return Ok(ValidTransaction(priority, valid.requires, valid.provides, longevity, valid.propagate))


FRAMEWORK_APIS: tuple[type[RuntimeApi], ...] = (Core, Metadata, TaggedTransactionQueue, AccountNonceApi)
"""What every runtime answers; those of pallets are added by the node that serves them."""


def _read_extrinsic(data: bytes, offset: int) -> tuple[bytes, int]:
    length, start = read_compact(data, offset, 4)
    end = start + length
    if end > len(data):
        raise CodecError(f"an extrinsic of {length} bytes begins here, {len(data) - start} follow", offset)
    return data[offset:end], end
