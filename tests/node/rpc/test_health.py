"""The health pages, which load balancers ask."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from node.rpc.health import health_pages
from node.rpc.registry import Registry, method


class Health:
    """A node in some state."""

    def __init__(self, **state: Any) -> None:
        self.state = state

    @method("system_health")
    def health(self) -> Mapping[str, Any]:
        """The state."""
        return self.state


@pytest.mark.parametrize(
    ("peers", "is_syncing", "should_have_peers", "status"),
    [(0, False, False, 200), (1, False, True, 200), (0, False, True, 500), (3, True, True, 500), (0, True, False, 500)],
)
def test_a_node_is_ready_in_sync_with_the_peers_it_needs(
    peers: int, is_syncing: bool, should_have_peers: bool, status: int
) -> None:
    registry = Registry()
    registry.add(Health(peers=peers, isSyncing=is_syncing, shouldHavePeers=should_have_peers))
    pages = health_pages(registry)
    assert pages["/health/readiness"]().status == status
    shown = pages["/health"]()
    assert (shown.status, shown.content_type) == (200, "application/json")
    assert orjson.loads(shown.body) == {"peers": peers, "isSyncing": is_syncing, "shouldHavePeers": should_have_peers}
