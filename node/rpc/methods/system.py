"""`system_*`, `chainSpec_v1_*` and `rpc_methods`: who the node is and how it does."""

from typing import Any

from node.rpc.backend import Backend
from node.rpc.errors import invalid_params
from node.rpc.json import hexadecimal
from node.rpc.openrpc import openrpc_document
from node.rpc.registry import Registry, method
from runtime.crypto import ss58_decode


class SystemMethods:
    """Facts about the node and its chain."""

    def __init__(self, backend: Backend, registry: Registry) -> None:
        self.backend, self.registry = backend, registry

    @method("rpc_methods")
    def rpc_methods(self) -> Any:
        """The names of all methods."""
        return {"methods": self.registry.names()}

    @method("rpc_discover")
    def discover(self) -> Any:
        """This description of all methods, as an OpenRPC document."""
        return openrpc_document(self.registry, self.backend.version)

    @method("system_name")
    def name(self) -> str:
        """The name of the node's software."""
        return "DatDot node"

    @method("system_version")
    def version(self) -> str:
        """The version of the node's software."""
        return self.backend.version

    @method("system_chain", "chainSpec_v1_chainName")
    def chain(self) -> str:
        """The chain's name."""
        return self.backend.spec.name

    @method("system_chainType")
    def chain_type(self) -> str:
        """Development, Local or Live."""
        return self.backend.spec.chain_type

    @method("chainSpec_v1_genesisHash")
    def genesis_hash(self) -> str:
        """The hash of block 0."""
        return hexadecimal(self.backend.chain.store.genesis_hash)

    @method("system_properties", "chainSpec_v1_properties")
    def properties(self) -> Any:
        """Token symbol and decimals, address prefix."""
        return dict(self.backend.spec.properties)

    @method("system_health")
    def health(self) -> Any:
        """Peers, whether the node is catching up, and whether it should have peers."""
        network = self.backend.network()
        return {
            "peers": len(network.peers()) if network is not None else 0,
            "isSyncing": network.is_major_syncing if network is not None else False,
            "shouldHavePeers": self.backend.spec.chain_type != "Development",
        }

    @method("system_peers")
    def peers(self) -> Any:
        """The connected peers with their best blocks."""
        network = self.backend.network()
        return [
            {
                "peerId": peer.peer_id,
                "roles": peer.role.upper(),
                "bestHash": hexadecimal(peer.best_hash),
                "bestNumber": peer.best_number,
            }
            for peer in (network.peers() if network is not None else ())
        ]

    @method("system_localPeerId")
    def local_peer_id(self) -> str:
        """The node's libp2p peer id."""
        return self.backend.identity().peer_id

    @method("system_localListenAddresses")
    def local_listen_addresses(self) -> list[str]:
        """The multiaddresses that peers can dial."""
        return list(self.backend.identity().addresses)

    @method("system_nodeRoles")
    def node_roles(self) -> list[str]:
        """Authority when the node makes blocks, Full otherwise."""
        return ["Authority" if self.backend.identity().is_authority else "Full"]

    @method("system_syncState")
    def sync_state(self) -> Any:
        """Where the node started, where it is, and the highest block that a peer has."""
        best = self.backend.chain.best.number
        network = self.backend.network()
        theirs = [peer.best_number for peer in network.peers()] if network is not None else []
        highest = max([best, *theirs])
        return {"startingBlock": self.backend.starting_block, "currentBlock": best, "highestBlock": highest}

    @method("system_accountNextIndex", "account_nextIndex")
    def account_next_index(self, account: str) -> int:
        """The nonce of the account's next transaction, those waiting in the pool counted."""
        try:
            account_id = ss58_decode(account)
        except ValueError as error:
            raise invalid_params(f"account: {error}") from None
        return self.backend.next_nonce(account_id)
