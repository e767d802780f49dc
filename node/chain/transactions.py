"""Transactions between clients, peers, pool and chain: validated against the best block, followed to finality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from node.consensus.fork_choice import TreeRoute
from node.store.chain_store import ChainStore
from node.txpool.errors import ImmediatelyDropped, PoolError, TooLowPriority
from node.txpool.events import LAST_EVENTS, Dropped, Happening, Invalid, Ready, TransactionEvent, Usurped
from node.txpool.pool import Included, TransactionPool
from node.txpool.queues import PooledTransaction
from runtime.account import lookup
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.crypto import blake2_256
from runtime.era import Mortal
from runtime.errors import CannotLookup, CodecError, InvalidTransaction, MalformedTransaction
from runtime.extrinsic import Signer, sign_extrinsic
from runtime.header import Header
from runtime.validity import TransactionValidity, nonce_tag, validate_transaction

ERA_BLOCKS: Final = 64
"""How long a transaction that is signed here is valid."""

WATCH_EVENTS: Final = 64
"""Events that a watcher may be behind before it is dropped."""

ReadyListener = Callable[[PooledTransaction], None]


class Transactions:
    """Feeds the pool, keeps it in step with the chain, and tells watchers what happens to their transactions."""

    def __init__(self, store: ChainStore, runtime: Runtime, pool: TransactionPool) -> None:
        self.pool = pool
        self._store = store
        self._runtime = runtime
        self._ready_listeners: list[ReadyListener] = []
        self._watchers: dict[bytes, list[trio.MemorySendChannel[TransactionEvent]]] = {}

    def on_ready(self, listener: ReadyListener) -> None:
        """Call `listener` with every transaction that becomes ready: to author a block, to send it on."""
        self._ready_listeners.append(listener)

    def validate(self, extrinsic: bytes) -> TransactionValidity:
        """Check an extrinsic against the best block. Raises InvalidTransaction."""
        best = self._store.best
        return validate_transaction(self._runtime, best, self._store.state(best.hash), extrinsic)

    def submit(self, extrinsic: bytes) -> bytes:
        """Put an extrinsic into the pool and return its hash. Raises InvalidTransaction, PoolError.

        What is invalid is banned, so that the same bytes are not checked again soon.
        """
        now_block = self._store.best.number
        transaction_hash = blake2_256(extrinsic)
        self.pool.check_new(transaction_hash, now_block)
        try:
            happened = self.pool.submit(self.validate(extrinsic), extrinsic, now_block)
        except MalformedTransaction:
            raise
        except InvalidTransaction:
            self.pool.ban(transaction_hash, now_block)
            raise
        except ImmediatelyDropped as error:
            self._deliver(error.happened)
            raise
        self._deliver(happened)
        return transaction_hash

    def sign(self, call: RuntimeCall, signer: Signer, tip: int = 0) -> bytes:
        """Sign a call with the account's next free nonce, mortal for ERA_BLOCKS from the best block on."""
        best = self._store.best
        with self._runtime.at(self._store.state(best.hash)):
            nonce = self._runtime.system.nonce(signer.account_id)
        era = Mortal.starting(best.number, ERA_BLOCKS)
        return sign_extrinsic(
            self._runtime.extrinsic_codec,
            self._runtime.version,
            call,
            signer,
            nonce=self.pool.next_nonce(signer.account_id, nonce),
            genesis_hash=self._store.genesis_hash,
            era=era,
            era_block_hash=self._store.hash_at(era.birth(best.number)),
            tip=tip,
        )

    def watch(self, extrinsic: bytes) -> trio.MemoryReceiveChannel[TransactionEvent]:
        """Submit, and receive what happens to the transaction; the channel ends after its last event.

        It also ends when the reader is too slow. Raises InvalidTransaction, PoolError.
        """
        transaction_hash = blake2_256(extrinsic)
        self.pool.check_new(transaction_hash, self._store.best.number)
        self.pool.watch(transaction_hash)
        send, receive = trio.open_memory_channel[TransactionEvent](WATCH_EVENTS)
        self._watchers.setdefault(transaction_hash, []).append(send)
        try:
            self.submit(extrinsic)
        except BaseException:
            self._drop_watcher(transaction_hash, send)
            raise
        return receive

    def broadcast(self, transaction_hash: bytes, peers: Sequence[str]) -> None:
        """The network sent a transaction to these peers."""
        self._deliver(self.pool.broadcast(transaction_hash, peers))

    def remove_invalid(self, hashes: Sequence[bytes]) -> None:
        """Building a block found these invalid."""
        self._deliver(self.pool.remove_invalid(hashes, self._store.best.number))

    # The chain moves (ChainFollower)

    def best_changed(self, route: TreeRoute) -> None:
        """Take out what the new blocks hold, put back what the old ones held, check a few of the rest again."""
        retracted: dict[bytes, bytes] = {}
        for header in route.retracted:
            bodies = {blake2_256(extrinsic): extrinsic for extrinsic in self._signed_of(header)}
            retracted = bodies | retracted  # in the order in which they were applied
            self._deliver(self.pool.on_retracted(header.hash, bodies))
        for header in route.enacted:
            included = [self._included(index, extrinsic) for index, extrinsic in enumerate(self._body(header))]
            for one in included:
                retracted.pop(one.hash, None)
            self._deliver(self.pool.on_block(header.number, header.hash, included))
        for extrinsic in retracted.values():
            self._submit_again(extrinsic)
        with self._store.reading():
            self._deliver(self.pool.revalidate(self.validate, self._store.best.number))

    def finalized(self, headers: Sequence[Header]) -> None:
        """These blocks became final."""
        for header in headers:
            self._deliver(self.pool.on_finalized(header.hash))

    def runtime_changed(self, runtime: Runtime) -> None:
        """Another runtime is in force: what was signed for the one before is invalid."""
        self._runtime = runtime
        self.remove_invalid([one.hash for one in self.pool.transactions() if not self._is_valid(one.extrinsic)])

    def _is_valid(self, extrinsic: bytes) -> bool:
        try:
            self.validate(extrinsic)
        except InvalidTransaction:
            return False
        return True

    def _submit_again(self, extrinsic: bytes) -> None:
        """A transaction of a retracted block: it waits again, unless the new chain or the pool has no place for it."""
        transaction_hash = blake2_256(extrinsic)
        try:
            self.submit(extrinsic)
        except InvalidTransaction:
            self._end_watch(transaction_hash, Invalid())
        except TooLowPriority as error:
            self._end_watch(transaction_hash, Usurped(error.by))
        except ImmediatelyDropped:
            self._end_watch(transaction_hash, Dropped())
        except PoolError:
            return

    def _end_watch(self, transaction_hash: bytes, last: TransactionEvent) -> None:
        """Tell those who watch a transaction what became of it; the pool does not know it any more."""
        self.pool.unwatch(transaction_hash)
        self._deliver([(transaction_hash, last)])

    def _body(self, header: Header) -> tuple[bytes, ...]:
        return self._store.body(header.hash) or ()

    def _signed_of(self, header: Header) -> tuple[bytes, ...]:
        return self._body(header)[len(self._runtime.inherents) :]

    def _included(self, index: int, extrinsic: bytes) -> Included:
        transaction_hash = blake2_256(extrinsic)
        pooled = self.pool.get(transaction_hash)
        if pooled is not None:
            return Included(transaction_hash, index, pooled.validity.provides)
        return Included(transaction_hash, index, self._tags(extrinsic) if len(self.pool) else ())

    def _tags(self, extrinsic: bytes) -> tuple[bytes, ...]:
        """What a transaction that is in a block provides; nothing for inherents."""
        try:
            signed = self._runtime.extrinsic_codec.decode(extrinsic).signed
            return () if signed is None else (nonce_tag(lookup(signed.address), signed.extra.nonce),)
        except (CodecError, CannotLookup):
            return ()

    def _deliver(self, happened: Sequence[Happening]) -> None:
        for transaction_hash, event in happened:
            for channel in list(self._watchers.get(transaction_hash, ())):
                try:
                    channel.send_nowait(event)
                except (trio.WouldBlock, trio.BrokenResourceError):
                    self._drop_watcher(transaction_hash, channel)
            if isinstance(event, LAST_EVENTS):
                for channel in self._watchers.pop(transaction_hash, ()):
                    channel.close()
            pooled = self.pool.get(transaction_hash) if isinstance(event, Ready) else None
            if pooled is not None:
                for listener in self._ready_listeners:
                    listener(pooled)

    def _drop_watcher(self, transaction_hash: bytes, channel: trio.MemorySendChannel[TransactionEvent]) -> None:
        channel.close()
        left = [one for one in self._watchers[transaction_hash] if one is not channel]
        if left:
            self._watchers[transaction_hash] = left
        else:
            del self._watchers[transaction_hash]
            self.pool.unwatch(transaction_hash)
