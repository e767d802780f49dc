"""What an operator may look at and change while the node runs: reserved peers, log levels, the validator's keys."""

from __future__ import annotations

from typing import Annotated, Any

from node.keys.keystore import KEY_TYPES, Keystore, KeystoreError
from node.logs import BadLogFilter, LogFilters
from node.net.identity import InvalidPeerId
from node.net.peers import TooManyReserved
from node.rpc import errors
from node.rpc.backend import Backend, NetworkView
from node.rpc.errors import RpcError, invalid_params
from node.rpc.json import hexadecimal
from node.rpc.parameters import Hex, shown_as, text
from node.rpc.registry import method

KEY_TYPE_CHARACTERS = 4
PUBLIC_KEY_BYTES = 32


@shown_as(type="string", minLength=KEY_TYPE_CHARACTERS, maxLength=KEY_TYPE_CHARACTERS)
def key_type(value: Any) -> str:
    """What a key is for, four characters."""
    if len(text(value)) != KEY_TYPE_CHARACTERS or not value.isascii():
        raise ValueError("Invalid key type ID format (should be of length four)")
    return str(value)


KeyType = Annotated[str, key_type]


class OperatorMethods:
    """Unsafe methods all."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._log_filters = LogFilters()

    @method("system_addReservedPeer", unsafe=True)
    def add_reserved_peer(self, peer: str) -> None:
        """Dials a peer, /ip4/…/tcp/…/p2p/…, for as long as it is reserved, and keeps a slot for it."""
        try:
            self._network().add_reserved_peer(peer)
        except InvalidPeerId as error:
            raise RpcError(errors.MALFORMED_PEER, str(error)) from None
        except TooManyReserved as error:
            raise RpcError(errors.INTERNAL_ERROR, str(error)) from None

    @method("system_removeReservedPeer", unsafe=True)
    def remove_reserved_peer(self, peer_id: str) -> None:
        """Treats a reserved peer like any other; nothing happens if it is not reserved."""
        try:
            self._network().remove_reserved_peer(peer_id)
        except InvalidPeerId as error:
            raise RpcError(errors.MALFORMED_PEER, str(error)) from None

    @method("system_reservedPeers")
    def reserved_peers(self) -> list[str]:
        """The ids of the reserved peers, connected or not."""
        network = self.backend.network()
        return [] if network is None else list(network.reserved_peers)

    @method("system_addLogFilter", unsafe=True)
    def add_log_filter(self, directives: str) -> None:
        """Sets levels of loggers, such as net.gossip=debug,rpc=trace; a level alone is that of everything."""
        try:
            self._log_filters.add(directives)
        except BadLogFilter as error:
            raise invalid_params(f"directives: {error}") from None

    @method("system_resetLogFilter", unsafe=True)
    def reset_log_filter(self) -> None:
        """Puts all log levels back to what the node was started with."""
        self._log_filters.reset()

    @method("author_insertKey", unsafe=True)
    def insert_key(self, key_type: KeyType, suri: str, public_key: Hex) -> None:
        """Stores a key of the validator; one of type aura seals blocks from its next slot on."""
        try:
            keypair = self._keystore().insert(key_type, suri, public_key)
        except KeystoreError as error:
            raise invalid_params(str(error)) from None
        if self.backend.author is not None:
            self.backend.author.add_key(keypair)

    @method("author_rotateKeys", unsafe=True)
    def rotate_keys(self) -> str:
        """Makes new session keys, stores them, and answers their public parts in one piece."""
        try:
            made = [self._keystore().generate(kind) for kind in KEY_TYPES]
        except KeystoreError as error:
            raise RpcError(errors.AUTHOR_REFUSED, str(error)) from None
        if self.backend.author is not None:
            for keypair in made:
                self.backend.author.add_key(keypair)
        return hexadecimal(b"".join(keypair.public_key for keypair in made))

    @method("author_hasSessionKeys", unsafe=True)
    def has_session_keys(self, session_keys: Hex) -> bool:
        """Whether the secrets of all session keys, as author_rotateKeys answers them, are here."""
        if len(session_keys) != PUBLIC_KEY_BYTES * len(KEY_TYPES):
            raise RpcError(errors.AUTHOR_REFUSED, "Session keys are not encoded correctly")
        parts = (session_keys[at : at + PUBLIC_KEY_BYTES] for at in range(0, len(session_keys), PUBLIC_KEY_BYTES))
        keystore = self._keystore()
        return all(keystore.has(kind, part) for kind, part in zip(KEY_TYPES, parts, strict=True))

    @method("author_hasKey", unsafe=True)
    def has_key(self, public_key: Hex, key_type: KeyType) -> bool:
        """Whether the secret of a public key is here."""
        return len(public_key) == PUBLIC_KEY_BYTES and self._keystore().has(key_type, public_key)

    def _network(self) -> NetworkView:
        network = self.backend.network()
        if network is None:
            raise RpcError(errors.INTERNAL_ERROR, "the network has not started yet")
        return network

    def _keystore(self) -> Keystore:
        if self.backend.keystore is None:
            raise RpcError(errors.AUTHOR_REFUSED, "The key store is unavailable")
        return self.backend.keystore
