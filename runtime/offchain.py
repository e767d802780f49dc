"""What a pallet's off-chain worker may use. Only the node that runs it knows of it: no block ever depends on it.

    class Oracle(Pallet):
        def offchain_worker(self, number: int, context: OffchainContext) -> None:
            if context.storage.compare_and_set(b"last", None, number.to_bytes(4, "little")):
                context.submit_unsigned(RuntimeCall("Oracle", "report", {"number": number}))

The hook runs after the node has imported a best block, with the runtime bound to the state after that block. What it
writes to storage items is forgotten; it reaches the chain through extrinsics only.
"""

from __future__ import annotations

from typing import Protocol

from runtime.call import RuntimeCall


class SubmissionRefused(Exception):
    """A transaction did not enter the node's pool: the message is the pool's reason."""


class LocalStorage(Protocol):
    """A pallet's own values on this node; they outlive the node's process and know nothing of forks."""

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none."""
        ...

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value. Raises ValueError for a key or value that is too long."""
        ...

    def remove(self, key: bytes) -> None:
        """Delete a value."""
        ...

    def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Store a value if the present one is `expected`; tell whether it was."""
        ...


class OffchainContext(Protocol):
    """The world as an off-chain worker sees it."""

    @property
    def storage(self) -> LocalStorage:
        """The pallet's local storage."""
        ...

    @property
    def accounts(self) -> tuple[bytes, ...]:
        """The accounts for which this node can sign, 32 bytes each."""
        ...

    def now_ms(self) -> int:
        """Return the node's time: milliseconds since 1970."""
        ...

    def random_seed(self) -> bytes:
        """Return 32 bytes that nobody else knows, others every time."""
        ...

    def submit_signed(self, call: RuntimeCall, account: bytes) -> bytes:
        """Sign a call as one of `accounts`, put it into the pool, return its hash. Raises SubmissionRefused."""
        ...

    def submit_unsigned(self, call: RuntimeCall) -> bytes:
        """Put a call that its pallet validates unsigned into the pool, return its hash. Raises SubmissionRefused."""
        ...
