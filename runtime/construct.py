"""The runtime: pallets composed into one dispatch table, one call type, one event type, one set of codecs.

Built once per process, synchronous, single threaded. It holds no state: `at(view)` binds an overlay for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from runtime import limits
from runtime.call import DispatchResult, RuntimeCall
from runtime.codec import Codec, Codecs
from runtime.errors import BadOrigin, DispatchError, OtherError, TransactionalFault
from runtime.events import Event, EventRecord
from runtime.extrinsic import ExtrinsicCodec, SignatureCache
from runtime.header import HEADER_CODEC, Consensus, DigestItem, Header, PreRuntime
from runtime.metadata import metadata_v14
from runtime.origin import Origin, Signed
from runtime.outer import call_codec, event_codec
from runtime.pallet import CallSpec, Pallet
from runtime.raw_storage import StorageIndex
from runtime.roles import FeeRole, SystemRole
from runtime.state import Overlay, StateView
from runtime.storage import StateHost
from runtime.version import RuntimeVersion, runtime_code
from runtime.weights import DispatchClass, DispatchInfo, Pays, PostDispatchInfo, Weight

Dispatch = Callable[[RuntimeCall, Origin], DispatchResult]
AroundDispatch = Callable[[Dispatch, RuntimeCall, Origin], DispatchResult]
"""Stands around every dispatch while a block is traced; must call the dispatch that it is given, once."""


@dataclass(frozen=True)
class CallEntry:
    """A call of the dispatch table."""

    pallet: Pallet
    spec: CallSpec


class Runtime:
    """Pallets composed into a runtime. `pallets` must hold one named System; TransactionPayment is optional.

    `source_digest` (32 bytes) is the digest of the runtime's source, computed by the caller.
    """

    def __init__(self, pallets: tuple[Pallet, ...], version: RuntimeVersion, source_digest: bytes) -> None:
        self.pallets = tuple(sorted(pallets, key=lambda pallet: pallet.index))
        self.version = version
        self.source_digest = source_digest
        self.codecs = Codecs()
        self.host = StateHost()
        self.around_dispatch: AroundDispatch | None = None
        self._depth = 0
        self._by_name = {pallet.name: pallet for pallet in self.pallets}
        check_unique(self.pallets)
        self.calls: dict[tuple[str, str], CallEntry] = {}
        for pallet in self.pallets:
            for spec in pallet.call_specs():
                self.calls[pallet.name, spec.name] = CallEntry(pallet, spec)
        self.inherents = tuple(name for name, entry in self.calls.items() if entry.spec.inherent)
        self.call_codec: Codec[RuntimeCall] = call_codec(self.pallets, self.codecs)
        self.event_codec: Codec[Event] = event_codec(self.pallets, self.codecs)
        self.codecs.outer["RuntimeCall"] = self.call_codec
        self.codecs.outer["RuntimeEvent"] = self.event_codec
        self.event_records_codec: Codec[tuple[EventRecord, ...]] = self.codecs.codec_for(tuple[EventRecord, ...])
        self.header_codec: Codec[Header] = HEADER_CODEC
        self.extrinsic_codec = ExtrinsicCodec(self.call_codec)
        self.signatures = SignatureCache()
        for pallet in self.pallets:
            if pallet.Error is not None:
                claim_errors(pallet)
            pallet.attach(self)
        self.system: SystemRole = self._by_name["System"]  # type: ignore[assignment]
        self.fees: FeeRole | None = self._by_name.get("TransactionPayment")  # type: ignore[assignment]
        self._authored_engines = {engine for pallet in self.pallets for engine in pallet.digest_engines}
        self.initializers = hooked(self.pallets, "on_initialize")
        self.idlers = hooked(self.pallets, "on_idle")
        self.finalizers = hooked(self.pallets, "on_finalize")
        self.offchain_workers = hooked(self.pallets, "offchain_worker")

    def pallet(self, name: str) -> Pallet:
        """Return a pallet by name; raises KeyError."""
        return self._by_name[name]

    @property
    def code(self) -> bytes:
        """What stands under `:code` where this runtime is in force."""
        return runtime_code(self.source_digest, self.version.spec_version)

    def renumber(self, spec_version: int) -> None:
        """Carry another spec version, before anybody has read the metadata: for chains that count their upgrades."""
        if "metadata_v14" in self.__dict__:
            raise ValueError("the metadata already names the runtime's version")
        self.version = replace(self.version, spec_version=spec_version)

    def authored_items(self, items: tuple[DigestItem, ...]) -> tuple[DigestItem, ...]:
        """Return the digest items that are the author's, known before the block is executed; the rest is deposited."""
        return tuple(
            item
            for item in items
            if isinstance(item, PreRuntime) or (isinstance(item, Consensus) and item.engine in self._authored_engines)
        )

    @contextmanager
    def at(self, view: StateView) -> Iterator[Runtime]:
        """Bind a fresh overlay over `view` for reads and dry runs; nests, and restores the binding before."""
        with self.bind(Overlay(view)):
            yield self

    @contextmanager
    def bind(self, overlay: Overlay) -> Iterator[Overlay]:
        """Bind an overlay; nests, and restores the binding before."""
        before = self.host.bind(overlay)
        try:
            yield overlay
        finally:
            self.host.bind(before)

    def dispatch_info(self, call: RuntimeCall) -> DispatchInfo:
        """Return weight, class and payment of a call. Raises KeyError for a call that no codec could have made."""
        entry = self.calls[call.pallet, call.function]
        return entry.spec.info(entry.pallet, call)

    def weight_of(self, call: RuntimeCall) -> Weight:
        """Return the declared weight of a call.

        Whoever declares a call around another asks for its weight and class apart: `dispatch_info` asks for both at
        every level, which doubles the work with each.
        """
        entry = self.calls[call.pallet, call.function]
        return entry.spec.weight_of(entry.pallet, call)

    def class_of(self, call: RuntimeCall) -> DispatchClass:
        """Return the dispatch class of a call."""
        entry = self.calls[call.pallet, call.function]
        return entry.spec.class_of(entry.pallet, call)

    def write_raw(self, key: bytes, value: bytes | None) -> None:
        """Write bytes under a storage key, None to delete it. Raises OtherError for what the state cannot hold."""
        self.storage_index.write(self.host.overlay, key, value)

    def dispatch(self, call: RuntimeCall, origin: Origin) -> DispatchResult:
        """Run a call in a storage transaction of its own, rolled back when it fails.

        A call that the origin's filters stop fails, and so does an inherent inside another call.
        """
        if self.around_dispatch is not None:
            return self.around_dispatch(self._dispatch, call, origin)
        return self._dispatch(call, origin)

    def _dispatch(self, call: RuntimeCall, origin: Origin) -> DispatchResult:
        entry = self.calls.get((call.pallet, call.function))
        if entry is None:
            return DispatchResult(OtherError(f"no call {call.name}"), Weight())
        info = entry.spec.info(entry.pallet, call)
        if self._depth >= limits.CALL_DEPTH:
            return DispatchResult(TransactionalFault(), info.weight, info.pays_fee)
        if isinstance(origin, Signed) and not origin.allows(call):
            return DispatchResult(self.system.call_filtered(), info.weight, info.pays_fee)
        if entry.spec.inherent and self._depth:
            return DispatchResult(BadOrigin(), info.weight, info.pays_fee)
        overlay = self.host.overlay
        overlay.begin()
        self._depth += 1
        try:
            post = entry.spec.function(entry.pallet, origin, **call.arguments)
        except DispatchError as error:
            overlay.rollback()
            return DispatchResult(error, info.weight, info.pays_fee)
        except BaseException:
            overlay.rollback()
            raise
        finally:
            self._depth -= 1
        overlay.commit()
        return dispatched(info, post)

    @cached_property
    def storage_index(self) -> StorageIndex:
        """All storage items by their prefix."""
        return StorageIndex(self.pallets, self.codecs)

    @cached_property
    def metadata_v14(self) -> bytes:
        """The metadata that clients read, version 14, beginning with "meta"."""
        return metadata_v14(self.pallets, self.codecs)


def dispatched(info: DispatchInfo, post: PostDispatchInfo | None) -> DispatchResult:
    """Return the result of a call that succeeded; actual weight never exceeds the declared."""
    if post is None:
        return DispatchResult(None, info.weight, info.pays_fee)
    weight = info.weight if post.actual_weight is None else post.actual_weight.at_most(info.weight)
    pays = Pays.NO if Pays.NO in (info.pays_fee, post.pays_fee) else Pays.YES
    return DispatchResult(None, weight, pays)


def check_unique(pallets: tuple[Pallet, ...]) -> None:
    """Raise ValueError for two pallets of one name or index, or a runtime without System."""
    for what in ("name", "index"):
        values = [getattr(pallet, what) for pallet in pallets]
        if len(set(values)) != len(values):
            raise ValueError(f"two pallets have the same {what}: {values}")
    if "System" not in {pallet.name for pallet in pallets}:
        raise ValueError("a runtime needs the pallet System")
    if any(not 0 <= pallet.index <= 255 for pallet in pallets):
        raise ValueError("pallet indices are 0 to 255")


def claim_errors(pallet: Pallet) -> None:
    """Tell a pallet's error enum the index that its errors carry on chain."""
    errors: Any = pallet.Error
    if vars(errors).get("__pallet_index__", pallet.index) != pallet.index:
        raise ValueError(f"{errors.__name__} already belongs to another pallet index")
    if len(errors.__members__) != len(list(errors)):
        raise ValueError(f"{errors.__name__}: two errors have the same sentence")
    errors.__pallet_index__ = pallet.index


def hooked(pallets: tuple[Pallet, ...], hook: str) -> tuple[Any, ...]:
    """Return the bound hooks of the pallets that define them, in the order of pallet indices."""
    return tuple(
        getattr(pallet, hook) for pallet in pallets if getattr(type(pallet), hook) is not getattr(Pallet, hook)
    )
