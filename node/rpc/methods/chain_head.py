"""`chainHead_v1_*`: follow the head of the chain and ask about the blocks held meanwhile.

Source: the JSON-RPC interface specification of Polkadot; limits as in polkadot-sdk. Every block told to a client stays
pinned, and may be asked about, until the client unpins it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import islice
from typing import Annotated, Any

import trio

from node.rpc import errors
from node.rpc.backend import Backend
from node.rpc.errors import RpcError
from node.rpc.follow import Event, Follow, FollowStopped, Operation, Pins
from node.rpc.json import hexadecimal
from node.rpc.limits import MAX_FOLLOWS_PER_CONNECTION, MAX_OPERATIONS_PER_FOLLOW, STORAGE_ITEMS_PER_PAGE
from node.rpc.parameters import Hash, Hex, bounded_list, hash_bytes, shown_as
from node.rpc.registry import method, subscription
from node.rpc.runtime_api import call_runtime
from node.rpc.session import Session, Subscription
from node.rpc.storage_query import StorageQueries, StorageQuery, storage_results
from node.store.errors import StateUnavailable
from runtime.header import Header

Work = Callable[[Operation, Header], AsyncGenerator[Event, None]]
"""What an operation does with a pinned block: the events that it sends, without its id."""

LIMIT_REACHED = {"result": "limitReached"}


class Follows(dict[str, Follow]):
    """The follows of one connection by subscription."""


@shown_as(type=["string", "array"])
def hash_or_hashes(value: Any) -> list[bytes]:
    """One hash or a list of them."""
    return [hash_bytes(item) for item in bounded_list(value)] if isinstance(value, list) else [hash_bytes(value)]


Hashes = Annotated[list[bytes], hash_or_hashes]


class ChainHeadMethods:
    """The family. Calls about a follow that has ended answer as the specification says: with nothing, not an error."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.pins = Pins()

    @subscription("chainHead_v1_follow", "chainHead_v1_unfollow", notifies="chainHead_v1_followEvent")
    async def follow(self, subscription: Subscription, with_runtime: bool) -> AsyncGenerator[Any, None]:
        """New, best and finalized blocks without gaps; ends with `stop` when that or a limit cannot be kept."""
        follows = subscription.session.kept(Follows)
        if len(follows) >= MAX_FOLLOWS_PER_CONNECTION:
            raise RpcError(errors.REACHED_LIMITS, "Maximum number of chainHead_follow has been reached")
        with self.backend.events() as chain_events:
            follow = follows[subscription.id] = Follow(
                self.backend, self.pins, subscription, chain_events, with_runtime
            )
            self.pins.join(follow)
            try:
                for event in list(follow.begin()):  # all of it now: what comes later is among the events
                    yield event
                async for happened in chain_events:
                    for event in follow.react(happened):
                        yield event
            except (FollowStopped, RpcError, trio.ClosedResourceError):
                pass  # lost events, too, mean that the client begins anew
            finally:
                follow.stop()
                self.pins.leave(follow)
                del follows[subscription.id]
        yield {"event": "stop"}

    @method("chainHead_v1_header")
    def header(self, session: Session, follow_subscription: str, hash: Hash) -> str | None:
        """The SCALE header of a pinned block."""
        follow = session.kept(Follows).get(follow_subscription)
        return None if follow is None else hexadecimal(_pinned(follow, hash).encode())

    @method("chainHead_v1_body")
    def body(self, session: Session, follow_subscription: str, hash: Hash) -> Any:
        """Starts an operation that tells the extrinsics of a pinned block."""

        async def work(operation: Operation, block: Header) -> AsyncGenerator[Event, None]:
            body = self.backend.chain.store.body(hash)
            if body is None:
                yield {"event": "operationInaccessible"}
            else:
                yield {"event": "operationBodyDone", "value": [hexadecimal(extrinsic) for extrinsic in body]}

        return self._start(session, follow_subscription, hash, work)

    @method("chainHead_v1_call")
    def call(self, session: Session, follow_subscription: str, hash: Hash, function: str, call_parameters: Hex) -> Any:
        """Starts an operation that runs a runtime API function at a pinned block."""

        async def work(operation: Operation, block: Header) -> AsyncGenerator[Event, None]:
            if not self.backend.chain.store.can_read(hash):
                yield {"event": "operationInaccessible"}
                return
            try:
                output = call_runtime(self.backend, function, call_parameters, hash)
            except RpcError as error:
                yield {"event": "operationError", "error": f"{error.message}: {error.data}"}
            else:
                yield {"event": "operationCallDone", "output": hexadecimal(output)}

        follow = session.kept(Follows).get(follow_subscription)
        if follow is not None and not follow.with_runtime:
            reason = "the follow was started without withRuntime"
            raise RpcError(errors.INVALID_RUNTIME_CALL, "Invalid runtime call", reason)
        return self._start(session, follow_subscription, hash, work)

    @method("chainHead_v1_storage")
    def storage(
        self,
        session: Session,
        follow_subscription: str,
        hash: Hash,
        items: StorageQueries,
        child_trie: Hex | None = None,
    ) -> Any:
        """Starts an operation that tells values, hashes or Merkle values of storage; there are no child tries."""

        def work(operation: Operation, block: Header) -> AsyncGenerator[Event, None]:
            return self._storage_events(operation, block, items if child_trie is None else [])

        started = self._start(session, follow_subscription, hash, work)
        return started if started is LIMIT_REACHED else {**started, "discardedItems": 0}

    async def _storage_events(
        self, operation: Operation, block: Header, queries: list[StorageQuery]
    ) -> AsyncGenerator[Event, None]:
        results = storage_results(self.backend, block, queries)
        while page := list(islice(results, STORAGE_ITEMS_PER_PAGE)):
            yield {"event": "operationStorageItems", "items": page}
            if len(page) == STORAGE_ITEMS_PER_PAGE:
                yield {"event": "operationWaitingForContinue"}
                await operation.wait_for_continue()
        yield {"event": "operationStorageDone"}

    @method("chainHead_v1_continue")
    def continue_(self, session: Session, follow_subscription: str, operation_id: str) -> None:
        """Lets an operation go on that said operationWaitingForContinue."""
        operation = _operation(session, follow_subscription, operation_id)
        if operation is None:
            return
        if operation.resume is None or operation.resume.is_set():
            raise RpcError(errors.INVALID_CONTINUE, "Invalid continue", "the operation does not wait")
        operation.resume.set()

    @method("chainHead_v1_stopOperation")
    def stop_operation(self, session: Session, follow_subscription: str, operation_id: str) -> None:
        """Ends an operation; its id is worth nothing afterwards, and an unknown one is ignored."""
        operation = _operation(session, follow_subscription, operation_id)
        if operation is not None:
            del session.kept(Follows)[follow_subscription].operations[operation_id]
            operation.scope.cancel()

    @method("chainHead_v1_unpin")
    def unpin(self, session: Session, follow_subscription: str, hash_or_hashes: Hashes) -> None:
        """Gives pinned blocks free; none if one of them is not pinned."""
        follow = session.kept(Follows).get(follow_subscription)
        if follow is None:
            return
        if len(set(hash_or_hashes)) < len(hash_or_hashes):
            raise RpcError(errors.DUPLICATE_HASHES, "Received duplicate hashes for the chainHead_unpin")
        for block_hash in hash_or_hashes:
            _pinned(follow, block_hash)
        for block_hash in hash_or_hashes:
            self.pins.unpin(follow, block_hash)

    def _start(self, session: Session, follow_subscription: str, block_hash: bytes, work: Work) -> Any:
        follow = session.kept(Follows).get(follow_subscription)
        if follow is None or follow.stopped:
            return LIMIT_REACHED
        block = _pinned(follow, block_hash)
        if len(follow.operations) >= MAX_OPERATIONS_PER_FOLLOW:
            return LIMIT_REACHED
        follow.operations_begun += 1
        operation = Operation(str(follow.operations_begun))
        follow.operations[operation.id] = operation
        session.start_soon(_run, follow, operation, work(operation, block))
        return {"result": "started", "operationId": operation.id}


async def _run(follow: Follow, operation: Operation, work: AsyncGenerator[Event, None]) -> None:
    """Sends the events of an operation. Nothing is sent for one that was stopped or whose follow has ended."""
    with operation.scope:
        try:
            async with aclosing(work) as events:
                async for event in events:
                    await trio.lowlevel.checkpoint()  # others get their turn, and a stopped operation ends here
                    follow.subscription.notify({**event, "operationId": operation.id})
        except StateUnavailable:
            # The block's state is given up by now: a pin keeps a block's header, not its state.
            follow.subscription.notify({"event": "operationInaccessible", "operationId": operation.id})
    follow.operations.pop(operation.id, None)


def _pinned(follow: Follow, block_hash: bytes) -> Header:
    found = follow.pinned.get(block_hash)
    if found is None:
        raise RpcError(errors.INVALID_BLOCK, "Invalid block hash", f"0x{block_hash.hex()} is not pinned")
    return found[0]


def _operation(session: Session, follow_subscription: str, operation_id: str) -> Operation | None:
    follow = session.kept(Follows).get(follow_subscription)
    return None if follow is None else follow.operations.get(operation_id)
