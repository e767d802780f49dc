"""What a node is told when it starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from node.keys.keypair import Keypair
from runtime.genesis import ChainSpec

LOOPBACK = "127.0.0.1"
BlockMode = Literal["interval", "instant", "manual"]
BLOCK_MODES: tuple[BlockMode, ...] = ("interval", "instant", "manual")


@dataclass(frozen=True)
class FindingConfig:
    """Where readers can find hosted cores, besides the chain's own network.

    `lan`: on the local network, as far as the listening address reaches. `hyperswarm`: on Hyperswarm, through the
    bridge; `hyperswarm_bootstrap` names the nodes of a private network in place of the public one.
    """

    lan: bool = False
    hyperswarm: bool = False
    hyperswarm_bootstrap: tuple[tuple[str, int], ...] = ()


NOWHERE = FindingConfig()


EXPLORER_ORIGINS = frozenset({"https://polkadot.js.org"})
"""The hosted explorer and wallet that Substrate nodes let in by themselves."""


@dataclass(frozen=True)
class NodeConfig:
    """One process: a chain node, and the services of the provider accounts that share it.

    Ports of 0 are chosen by the system. `sealing_workers` is the number of processes that work for setups, and of those
    that open chunks for readers.
    """

    spec: ChainSpec
    base_path: Path
    validator: Keypair | None = None
    providers: tuple[Keypair, ...] = ()
    host: str = LOOPBACK
    p2p_port: int = 0
    rpc_port: int = 0
    bootnodes: tuple[str, ...] = ()
    archive: bool = False
    blocks: BlockMode = "interval"
    sealing_workers: int = 2
    finding: FindingConfig = NOWHERE
    upgradable: bool = False
    """The base path holds a development chain of this chain file, which is not compared: it goes on with the source at
    hand whatever source it asks for."""
    network_seed: bytes | None = None
    """The 32-byte seed of the node's own peer id; by default that of its validator's or first provider's noise key."""

    on_runtime_bug: Callable[[Exception], None] | None = None
    """Hears of exceptions of the runtime while blocks are made; without it they stop the node."""

    rpc_hosts: frozenset[str] = frozenset()
    rpc_origins: frozenset[str] = EXPLORER_ORIGINS
    """Web pages that may talk to the port besides those of this machine; "*" for all."""

    @property
    def is_development(self) -> bool:
        """Whether the chain is one to develop with: its users may move time and write its state."""
        return self.spec.chain_type == "Development"


class StartRefused(Exception):
    """The node cannot start as asked: one sentence that says why and what to do."""
