"""Transactions made of nothing but their validity."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from node.txpool.events import Happening
from node.txpool.pool import PoolLimits, TransactionPool
from runtime.crypto import blake2_256
from runtime.validity import TransactionValidity

IMMORTAL = 2**63


def tag(sender: str, nonce: int) -> bytes:
    return f"{sender}/{nonce}".encode()


@dataclass(frozen=True)
class Made:
    """An extrinsic and what validation says about it."""

    extrinsic: bytes
    validity: TransactionValidity

    @property
    def hash(self) -> bytes:
        return self.validity.hash


def make(
    sender: str, nonce: int, *, account_nonce: int = 0, tip: int = 0, size: int = 100, longevity: int = IMMORTAL
) -> Made:
    extrinsic = f"{sender}/{nonce}/{tip}".encode().ljust(size, b".")
    requires = (tag(sender, nonce - 1),) if nonce > account_nonce else ()
    name = sender.encode().ljust(32, b"\x00")
    provides = (tag(sender, nonce),)
    validity = TransactionValidity(tip, requires, provides, longevity, True, name, nonce, tip, blake2_256(extrinsic))
    return Made(extrinsic, validity)


class Harness:
    """A pool with a clock of blocks."""

    def __init__(self, limits: PoolLimits) -> None:
        self.pool = TransactionPool(limits)
        self.block = 10

    def submit(self, *transactions: Made) -> list[Happening]:
        happened: list[Happening] = []
        for one in transactions:
            happened += self.pool.submit(one.validity, one.extrinsic, self.block)
        return happened

    def ready(self) -> list[bytes]:
        return [one.hash for one in self.pool.ready()]


@pytest.fixture
def small() -> Harness:
    """A pool for four ready and three future transactions."""
    return Harness(
        PoolLimits(
            ready_transactions=4,
            ready_bytes=1_000,
            future_transactions=3,
            future_bytes=400,
            transactions_per_sender=5,
            watched_transactions=3,
            ban_blocks=5,
            banned_transactions=4,
            finality_timeout_blocks=6,
            revalidated_per_block=2,
        )
    )


@pytest.fixture
def large() -> Harness:
    """A pool of the usual size."""
    return Harness(PoolLimits())
