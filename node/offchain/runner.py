"""Runs the off-chain workers of pallets after each best block, beside the node's own work and never in its way.

Each worker runs in a thread of its own, one after the other, with a runtime of their own: the node's belongs to the
node's thread. State and pool are reached through that thread. A worker that is not done in time is told to stop,
whatever it does, and forgotten; one that does not stop keeps its thread, and is not run again before it has ended, so
that there is never more than one thread a pallet. Blocks that come while workers run are skipped but for the newest.
"""

from __future__ import annotations

import ctypes
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog
import trio

from node.chain.chain import Chain
from node.chain.events import BestChanged
from node.chain.transactions import Transactions
from node.config import NodeConfig
from node.offchain.storage import OffchainStorage, PalletStorage
from node.runtime_source import node_runtime
from node.txpool.errors import PoolError
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.errors import CodecError, InvalidTransaction
from runtime.extrinsic import Signer
from runtime.header import Header
from runtime.offchain import SubmissionRefused
from runtime.pallet import Pallet
from runtime.state import StateView

log = structlog.get_logger("offchain")

WORKER_SECONDS: Final = 5.0
"""How long one worker may take for one block."""

T = TypeVar("T")


class OutOfTime(BaseException):
    """Stops a worker; no Exception, so that a worker does not catch it by accident."""


class OffchainRunner:
    """See the module. `make_runtime` returns a new runtime of the chain; `signers` are the accounts of this node."""

    def __init__(
        self,
        chain: Chain,
        transactions: Transactions,
        storage: OffchainStorage,
        make_runtime: Callable[[], Runtime],
        *,
        signers: Sequence[Signer] = (),
        worker_seconds: float = WORKER_SECONDS,
    ) -> None:
        self.storage = storage
        self.signers = {signer.account_id: signer for signer in signers}
        self._chain = chain
        self._transactions = transactions
        self._make_runtime = make_runtime
        self._worker_seconds = worker_seconds
        self._runtime: Runtime | None = None
        self._made_for: Runtime | None = None
        self._late: dict[str, _Run] = {}

    async def run(self) -> None:
        """Serve best blocks until cancelled; returns at once when no pallet of the chain has a worker."""
        if not self._chain.runtime.offchain_workers:
            return
        while True:
            with self._chain.subscribe() as channel:
                async for event in channel:
                    if isinstance(event, BestChanged) and event.header.hash == self._chain.best.hash:
                        await self.serve(event.header)

    async def serve(self, header: Header) -> None:
        """Run the workers of all pallets once, on the state after a block that is stored."""
        view = self._chain.store.state(header.hash)
        if self._made_for is not self._chain.runtime:  # the chain got another one since
            self._runtime, self._made_for = None, self._chain.runtime
        for place in range(len(self._chain.runtime.offchain_workers)):
            if self._runtime is None:
                self._runtime = await trio.to_thread.run_sync(self._make_runtime)
            await self._run_worker(self._runtime, place, header, view)

    async def _run_worker(self, runtime: Runtime, place: int, header: Header, state: StateView) -> None:
        worker = runtime.offchain_workers[place]
        pallet: Pallet = worker.__self__
        if self._is_still_running(pallet.name, header):
            return
        node_thread = NodeThread(trio.lowlevel.current_trio_token())
        view = _ViewFromWorker(state, node_thread)
        context = _Context(self, pallet.name, node_thread)

        def work() -> None:
            with runtime.at(view):
                worker(header.number, context)

        run = _Run(work, node_thread)
        try:
            with trio.move_on_after(self._worker_seconds):
                await run.done.wait()
        finally:
            if not run.done.is_set():
                self._runtime = None  # the worker may hold on to it for a while
                self._late[pallet.name] = run
                run.stop()
        if not run.done.is_set():
            log.error("off-chain worker took too long", pallet=pallet.name, block=header.number)
        elif run.error is not None:
            log.error("off-chain worker failed", pallet=pallet.name, block=header.number, exc_info=run.error)

    def _is_still_running(self, pallet: str, header: Header) -> bool:
        """Whether a pallet's worker of an earlier block goes on though its time is over; it is told to stop again."""
        late = self._late.get(pallet)
        if late is None or not late.is_alive:
            self._late.pop(pallet, None)
            return False
        late.stop()
        log.error("off-chain worker does not stop and is not run again before", pallet=pallet, block=header.number)
        return True

    def submit(self, extrinsic: bytes) -> bytes:
        """Put an extrinsic into the pool; in the node's thread. Raises SubmissionRefused."""
        try:
            return self._transactions.submit(extrinsic)
        except (InvalidTransaction, PoolError) as error:
            raise SubmissionRefused(str(error)) from None

    def submit_signed(self, call: RuntimeCall, account: bytes) -> bytes:
        """Sign a call and put it into the pool; in the node's thread. Raises SubmissionRefused."""
        signer = self.signers.get(account)
        if signer is None:
            raise SubmissionRefused(f"this node has no key of account 0x{account.hex()}")
        try:
            return self.submit(self._transactions.sign(call, signer))
        except CodecError as error:
            raise SubmissionRefused(f"the call {call.name} cannot be encoded: {error}") from None

    def submit_unsigned(self, call: RuntimeCall) -> bytes:
        """Put an unsigned call into the pool; in the node's thread. Raises SubmissionRefused."""
        try:
            return self.submit(self._chain.runtime.extrinsic_codec.encode_bare(call))
        except CodecError as error:
            raise SubmissionRefused(f"the call {call.name} cannot be encoded: {error}") from None


def offchain_runner(config: NodeConfig, chain: Chain, transactions: Transactions) -> OffchainRunner:
    """The runner of a node as configured: its storage in the base path, the keys of its validator and providers."""
    signers = [*([] if config.validator is None else [config.validator]), *config.providers]
    storage = OffchainStorage(config.base_path / "offchain")
    return OffchainRunner(chain, transactions, storage, partial(node_runtime, config.spec), signers=signers)


class NodeThread:
    """The way from a worker's thread into the node's; closed when the worker's time is over."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.token = token
        self.is_closed = False

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the node's thread and return its result. Raises OutOfTime, and what the function does."""
        if self.is_closed:
            raise OutOfTime
        return trio.from_thread.run_sync(function, *arguments, trio_token=self.token)


class _Run:
    """A worker at work in a thread."""

    def __init__(self, work: Callable[[], None], node_thread: NodeThread) -> None:
        self.done = trio.Event()
        self.error: BaseException | None = None
        self._work = work
        self._node_thread = node_thread
        self._thread = threading.Thread(target=self._main, name="off-chain worker", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Raise OutOfTime in the worker, wherever it is in Python code."""
        self._node_thread.is_closed = True
        identity = self._thread.ident
        if identity is not None and self.is_alive:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(OutOfTime))

    def _main(self) -> None:
        with suppress(OutOfTime, trio.RunFinishedError):
            try:
                self._work()
            except OutOfTime:
                raise
            except BaseException as error:  # whatever a pallet raises must not end the node
                self.error = error
            self._node_thread.token.run_sync_soon(self.done.set)


class _ViewFromWorker:
    """The state after a block, read in the node's thread; a StateView."""

    def __init__(self, view: StateView, node_thread: NodeThread) -> None:
        self._view = view
        self._node_thread = node_thread

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        return self._node_thread.run(self._view.get, key)

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        """Return keys with a prefix after `start`."""
        return self._node_thread.run(self._view.keys, prefix, start, limit)


class _Context:
    """What a worker gets; an OffchainContext."""

    def __init__(self, runner: OffchainRunner, pallet: str, node_thread: NodeThread) -> None:
        self._runner = runner
        self._node_thread = node_thread
        self._storage = runner.storage.of(pallet)

    @property
    def storage(self) -> PalletStorage:
        """The pallet's local storage."""
        return self._storage

    @property
    def accounts(self) -> tuple[bytes, ...]:
        """The accounts for which this node can sign."""
        return tuple(self._runner.signers)

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def random_seed(self) -> bytes:
        """Return 32 random bytes."""
        return secrets.token_bytes(32)

    def submit_signed(self, call: RuntimeCall, account: bytes) -> bytes:
        """Sign and submit a call. Raises SubmissionRefused."""
        return self._node_thread.run(self._runner.submit_signed, call, account)

    def submit_unsigned(self, call: RuntimeCall) -> bytes:
        """Submit an unsigned call. Raises SubmissionRefused."""
        return self._node_thread.run(self._runner.submit_unsigned, call)
