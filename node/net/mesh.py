"""A GossipSub mesh for low-rate topics, which reach hosts that are not directly connected.

It is optional, and it is no path for transactions: the library drops silently what it cannot queue. Topics carry the
chain's genesis, so that meshes of different chains on one network do not mix.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from node import limits
from node.net.host import Host
from node.net.messages import chain_protocol

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1
OnMessage = Callable[[bytes], None]
IsValid = Callable[[bytes], bool]


class Mesh:
    """Topics by name over one host. Made by `Mesh.start`."""

    def __init__(self, pubsub: Any, genesis_hash: bytes, nursery: trio.Nursery) -> None:
        self._pubsub = pubsub
        self._genesis_hash = genesis_hash
        self._nursery = nursery
        self._send, self._receive = trio.open_memory_channel[tuple[str, bytes]](limits.MAX_MESH_QUEUE)
        self.dropped = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls, host: Host, genesis_hash: bytes, heartbeat_seconds: int = HEARTBEAT_SECONDS
    ) -> AsyncIterator[Mesh]:
        """Run a mesh over a host. It takes part in the connections that come about afterwards."""
        from libp2p.tools.anyio_service import background_trio_service

        from node.net import libp2p_compat

        pubsub, router = libp2p_compat.build_mesh(host.library_host, heartbeat_seconds)
        async with background_trio_service(pubsub), background_trio_service(router):
            await pubsub.wait_until_ready()
            async with trio.open_nursery() as nursery:
                mesh = cls(pubsub, genesis_hash, nursery)
                nursery.start_soon(mesh._publish_queued)
                try:
                    yield mesh
                finally:
                    nursery.cancel_scope.cancel()

    async def subscribe(self, topic: str, is_valid: IsValid, on_message: OnMessage) -> None:
        """Call `on_message(data)` for each message of others that `is_valid` lets pass; the rest is not passed on.

        `is_valid` must be cheap and without effects: it runs before the message is relayed.
        """
        name = self._name(topic)
        own = self._pubsub.my_id.to_bytes()
        self._pubsub.set_topic_validator(name, lambda forwarder, message: is_valid(message.data), False)
        subscription = await self._pubsub.subscribe(name)

        async def read() -> None:
            while True:
                message = await subscription.get()
                if message.from_id != own:
                    on_message(message.data)

        self._nursery.start_soon(read)

    def publish(self, topic: str, data: bytes) -> None:
        """Queue a message for the mesh; a full queue drops it and counts."""
        try:
            self._send.send_nowait((self._name(topic), data))
        except trio.WouldBlock:
            self.dropped += 1

    def neighbours(self, topic: str) -> int:
        """Count the mesh neighbours of a topic."""
        return len(self._pubsub.router.mesh.get(self._name(topic), ()))

    async def _publish_queued(self) -> None:
        async for topic, data in self._receive:
            await self._pubsub.publish(topic, data)

    def _name(self, topic: str) -> str:
        return chain_protocol(self._genesis_hash, topic)
