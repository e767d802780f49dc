"""`offchain_*`: the store that the off-chain workers keep on this node."""

from typing import Annotated, Any

from node.rpc.backend import Backend, OffchainStorage
from node.rpc.errors import RpcError, invalid_params
from node.rpc.json import optional_hexadecimal
from node.rpc.parameters import Hex, shown_as, text
from node.rpc.registry import method

UNAVAILABLE_STORAGE_KIND = 5001
PERSISTENT, LOCAL = "PERSISTENT", "LOCAL"


@shown_as(enum=[PERSISTENT, LOCAL])
def storage_kind(value: Any) -> str:
    """PERSISTENT, or LOCAL, which would follow forks."""
    if text(value) not in (PERSISTENT, LOCAL):
        raise ValueError(f"the kind is {PERSISTENT} or {LOCAL}")
    return str(value)


Kind = Annotated[str, storage_kind]


class OffchainMethods:
    """Reads and writes past the workers, on nodes that run them."""

    def __init__(self, backend: Backend, storage: OffchainStorage) -> None:
        self.backend, self.storage = backend, storage

    @method("offchain_localStorageGet", unsafe=True)
    def get(self, kind: Kind, key: Hex) -> str | None:
        """The value under a key."""
        return optional_hexadecimal(self._of(kind).get(key))

    @method("offchain_localStorageSet", unsafe=True)
    def set(self, kind: Kind, key: Hex, value: Hex) -> None:
        """Stores a value under a key."""
        try:
            self._of(kind).set(key, value)
        except ValueError as error:
            raise invalid_params(str(error)) from None

    def _of(self, kind: str) -> OffchainStorage:
        if kind != PERSISTENT:
            raise RpcError(UNAVAILABLE_STORAGE_KIND, "This storage kind is not available yet.")
        return self.storage
