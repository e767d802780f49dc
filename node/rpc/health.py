"""`GET /health` and `GET /health/readiness`, which load balancers and orchestrators ask of Substrate nodes."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from node.rpc.registry import Registry
from node.rpc.server import Page

JSON = "application/json"
NOT_READY = 500
"""What Substrate answers with while it syncs or lacks peers."""


def health_pages(registry: Registry) -> Mapping[str, Callable[[], Page]]:
    """The pages by path: what `system_health` answers, and whether the node is in sync and has the peers it needs."""
    health: Callable[[], Mapping[str, Any]] = registry.methods["system_health"].call

    def readiness() -> Page:
        now = health()
        is_ready = not now["isSyncing"] and (now["peers"] > 0 or not now["shouldHavePeers"])
        return Page(b"", JSON, 200 if is_ready else NOT_READY)

    return {"/health": lambda: Page(orjson.dumps(health()), JSON), "/health/readiness": readiness}
