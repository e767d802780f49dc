"""The WebSocket side of the JSON-RPC port: frames in, answers and notifications out through one bounded queue."""

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from node.rpc.jsonrpc import Peer
from node.rpc.limits import MAX_CALLS_AT_ONCE_PER_CONNECTION, MAX_MESSAGE_BYTES, OUTGOING_QUEUE_MESSAGES
from node.rpc.registry import Registry
from node.rpc.session import SlowClient

RECEIVE_BYTES = 65_536
FLUSH_SECONDS = 2
MESSAGE_TOO_BIG = 1009


async def serve_websocket(stream: trio.SocketStream, received: bytes, registry: Registry, trusted: bool) -> None:
    """Serves one client until it leaves; `received` are the bytes of its upgrade request."""
    conversation = _Conversation(stream)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(conversation.write)
            try:
                async with trio.open_nursery() as calls:
                    await conversation.read(received, Peer(registry, calls, conversation.send_text, trusted), calls)
                    calls.cancel_scope.cancel()
            finally:
                conversation.outgoing.close()
                nursery.cancel_scope.deadline = trio.current_time() + FLUSH_SECONDS
    except* (RemoteProtocolError, LocalProtocolError, trio.BrokenResourceError, trio.ClosedResourceError, SlowClient):
        pass  # the client is gone, broke the protocol or does not read: nothing more can be said to it


async def drain(stream: trio.SocketStream) -> None:
    """Reads on for a moment: closing with unread bytes would reset the connection before the reason arrives."""
    with trio.move_on_after(FLUSH_SECONDS):
        while await stream.receive_some(RECEIVE_BYTES):
            pass


class _Conversation:
    """One connection's framing state; every byte to the client passes through `outgoing`, in order."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.connection = WSConnection(ConnectionType.SERVER)
        self.outgoing, self._queued = trio.open_memory_channel[bytes](OUTGOING_QUEUE_MESSAGES)
        self._free_calls = trio.Semaphore(MAX_CALLS_AT_ONCE_PER_CONNECTION)
        self._message = bytearray()

    def send_text(self, message: bytes) -> None:
        """Queues a message; raises SlowClient when the client leaves too many unread."""
        self._send(TextMessage(data=message.decode()))

    async def write(self) -> None:
        """Writes what is queued until the queue is closed."""
        async for data in self._queued:
            await self.stream.send_all(data)

    async def read(self, received: bytes, peer: Peer, calls: trio.Nursery) -> None:
        """Reads frames and starts a call for each message, until the client closes."""
        data = received
        while data:
            self.connection.receive_data(data)
            for event in self.connection.events():
                if message := self._handle(event):
                    # A client that sends faster than it is answered is read more slowly.
                    await self._free_calls.acquire()
                    calls.start_soon(self._answer, peer, message)
            if self.connection.state is ConnectionState.CLOSED:
                return
            if self.connection.state is ConnectionState.LOCAL_CLOSING:
                await drain(self.stream)
                return
            data = await self.stream.receive_some(RECEIVE_BYTES)

    async def _answer(self, peer: Peer, message: bytes) -> None:
        try:
            reply = await peer.handle(message)
        finally:
            self._free_calls.release()
        if reply is not None:
            self.send_text(reply)

    def _handle(self, event: Event) -> bytes | None:
        """Protocol housekeeping; returns a message once it is whole."""
        if isinstance(event, Request):
            self._send(AcceptConnection())
        elif isinstance(event, Ping | CloseConnection):
            self._send(event.response())
        elif isinstance(event, TextMessage | BytesMessage):
            self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
            if len(self._message) > MAX_MESSAGE_BYTES:
                reason = f"a message holds at most {MAX_MESSAGE_BYTES} bytes"
                self._send(CloseConnection(code=MESSAGE_TOO_BIG, reason=reason))
            elif event.message_finished:
                message = bytes(self._message)
                self._message.clear()
                return message
        return None

    def _send(self, event: Event) -> None:
        if self.connection.state in (ConnectionState.CLOSED, ConnectionState.LOCAL_CLOSING):
            return
        try:
            self.outgoing.send_nowait(self.connection.send(event))
        except trio.WouldBlock:
            raise SlowClient("its notifications are not being read") from None
