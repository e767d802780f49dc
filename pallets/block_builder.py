"""`BlockBuilder`: what an extrinsic would do on top of a block, and the inherents of a block.

A runtime API call keeps nothing, so there is no block under construction between two calls: `initialize_block`,
`finalize_block` and `execute_block` of Substrate have no counterpart here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

from pallets.timestamp import Timestamp
from runtime.api import OpaqueExtrinsic, RuntimeApi, TransactionValidityError
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.construct import Runtime
from runtime.errors import CodecError, DispatchErrorValue, InvalidTransaction
from runtime.header import Digest, Header
from runtime.state import StateView
from runtime.transition import BlockExecution
from runtime.types import U64, Bytes, Err, Fixed, Ok, Ordered, type_path

TIMESTAMP_INHERENT = b"timstap0"
"""The identifier under which the time (u64, milliseconds) stands in the inherent data."""

MAX_TIMESTAMP_DRIFT_MS = 30_000
"""A block may be so far ahead of the clock of whoever checks it (FRAME's bound)."""

TOO_FAR_IN_FUTURE = b"\x01"
"""`sp_timestamp::InherentError::TooFarInFuture`."""

ApplyExtrinsicResult = Ok[Ok[None] | Err[DispatchErrorValue]] | Err[TransactionValidityError]
InherentMap = Annotated[tuple[tuple[Annotated[bytes, Fixed(8)], Bytes], ...], Ordered(mapping=True)]


@dataclass(frozen=True)
class InherentData:
    """What whoever builds or checks a block knows of the world: values by identifier."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_inherents::InherentData")
    data: InherentMap = ()


@dataclass(frozen=True)
class CheckInherentsResult:
    """Whether the inherents of a block agree with what the checker knows."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_inherents::CheckInherentsResult")
    okay: bool
    fatal_error: bool
    errors: InherentData


@dataclass(frozen=True)
class OpaqueBlock:
    """A block whose extrinsics are not decoded."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::generic::block::Block")
    header: Header
    extrinsics: tuple[OpaqueExtrinsic, ...]


class BlockBuilder(RuntimeApi):
    """What would stand in the next block."""

    name = "BlockBuilder"
    api_version = 6

    def apply_extrinsic(self, extrinsic: OpaqueExtrinsic) -> ApplyExtrinsicResult:
        """What an extrinsic would do as the first one after the inherents in a block on top of this one."""
        assert self.view is not None
        return dry_run(self.runtime, self.header, self.view, extrinsic)

    def inherent_extrinsics(self, inherent: InherentData) -> tuple[OpaqueExtrinsic, ...]:
        """The inherents that a block begins with, made of the inherent data; none where the data lacks the time."""
        now_ms = _time_in(inherent)
        if now_ms is None:
            return ()
        return (self.runtime.extrinsic_codec.encode_bare(RuntimeCall(Timestamp.name, "set", {"now": now_ms})),)

    def check_inherents(self, block: OpaqueBlock, data: InherentData) -> CheckInherentsResult:
        """Whether a block's time is there and not more than 30 seconds ahead of the inherent data's."""
        stated, now_ms = self._time_of(block), _time_in(data)
        if stated is None or now_ms is None:
            return CheckInherentsResult(False, True, InherentData())
        if stated > now_ms + MAX_TIMESTAMP_DRIFT_MS:
            return CheckInherentsResult(False, True, InherentData(((TIMESTAMP_INHERENT, TOO_FAR_IN_FUTURE),)))
        return CheckInherentsResult(True, False, InherentData())

    def _time_of(self, block: OpaqueBlock) -> int | None:
        for encoded in block.extrinsics[:1]:
            try:
                extrinsic = self.runtime.extrinsic_codec.decode(encoded)
            except CodecError:
                return None
            if extrinsic.signed is None and extrinsic.call.name == f"{Timestamp.name}.set":
                return cast("int", extrinsic.call.arguments["now"])
        return None


def dry_run(runtime: Runtime, header: Header, view: StateView, extrinsic: bytes) -> ApplyExtrinsicResult:
    """What applying an extrinsic on top of a block would give. The author is taken to be that of the block below."""
    digest = runtime.authored_items(header.digest)
    execution = BlockExecution(runtime, header, view, digest, _no_nodes)
    with runtime.bind(execution.overlay):
        runtime.system.initialize(header.number + 1, header.hash, Digest(digest))
        runtime.system.note_initialized()
    execution.extrinsics.extend(b"" for _ in runtime.inherents)
    try:
        outcome = execution.apply(extrinsic)
    except InvalidTransaction as error:
        return Err(codec_for(TransactionValidityError).decode(error.to_scale()))
    return Ok(Ok(None) if outcome.error is None else Err(outcome.error.to_scale()))


def _time_in(inherent: InherentData) -> int | None:
    """The time in inherent data; raises CodecError when it is no u64."""
    found = dict(inherent.data).get(TIMESTAMP_INHERENT)
    return None if found is None else codec_for(U64).decode(found)


def _no_nodes(node_hash: bytes) -> bytes:
    raise KeyError(f"a dry run reads no trie node, not 0x{node_hash.hex()}")
