"""The chain as services and commands see it: submit calls, read state, follow blocks. Types only."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.call import RuntimeCall
from runtime.errors import DispatchError
from runtime.events import Event


class Signer(Protocol):
    """Whoever signs an extrinsic; `node.keys.keypair.Keypair` is one."""

    @property
    def account_id(self) -> bytes: ...
    @property
    def scheme(self) -> str: ...
    def sign(self, message: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Receipt:
    """Where a call was included and what became of it; `error` is None when it succeeded, `events` are its own."""

    block_hash: bytes
    block_number: int
    index: int
    error: DispatchError | None
    events: tuple[Event, ...]


@dataclass(frozen=True)
class BlockEvents:
    """One block of the best chain and everything that happened in it."""

    number: int
    hash: bytes
    events: tuple[Event, ...]


class SubmitFailed(Exception):
    """A call could not be included: the pool refused it for good or the chain stood still; the text says which."""


class ChainAPI(Protocol):
    """A chain that this process follows."""

    @property
    def genesis_hash(self) -> bytes:
        """Hash of block 0, 32 bytes."""

    @property
    def best_number(self) -> int:
        """Number of the best block."""

    @property
    def finalized_number(self) -> int:
        """Number of the finalized block; before there is a finality protocol, of the block shown as final."""

    def constant(self, pallet: str, name: str) -> Any:
        """A constant by its metadata name, such as ("DatDot", "SealKeyBits")."""

    def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        """The decoded value of a storage item by its metadata name, or its default; at a block hash, else the best."""

    async def submit(self, call: RuntimeCall, signer: Signer, *, tip: int = 0) -> Receipt:
        """Sign and send a call and wait for its inclusion. Nonces are kept per signer, so callers may submit at once.

        Raises SubmitFailed; an error of the call itself is in the receipt.
        """

    def blocks(self) -> AsyncGenerator[BlockEvents, None]:
        """The best chain from now on, one block at a time; after a reorganisation it goes on with the new branch.

        A consumer that lags behind the bounded queue misses blocks, never the newest one.
        """
