"""Joins chain and pool with the network: announces best blocks, passes transactions on, judges those that come in."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from node.chain.chain import Chain
from node.chain.events import BestChanged
from node.chain.transactions import Transactions
from node.net.gossip import Verdict
from node.net.service import Network
from node.txpool.errors import PoolError
from node.txpool.queues import PooledTransaction
from runtime.errors import InvalidTransaction, Validity

HARMLESS = frozenset({Validity.STALE, Validity.FUTURE, Validity.PAYMENT, Validity.ANCIENT_BIRTH_BLOCK})
"""What an honest peer's transaction may be by the time it arrives."""


async def judge_extrinsics(transactions: Transactions, extrinsics: list[bytes]) -> Sequence[Verdict]:
    """Put a peer's extrinsics into the pool and say which to pass on."""
    verdicts = []
    for extrinsic in extrinsics:
        verdicts.append(_judge(transactions, extrinsic))
        await trio.lowlevel.checkpoint()  # a large batch must not hold up the slot
    return verdicts


def _judge(transactions: Transactions, extrinsic: bytes) -> Verdict:
    try:
        transactions.submit(extrinsic)
    except InvalidTransaction as error:
        return Verdict.IGNORE if error.kind in HARMLESS else Verdict.REJECT
    except PoolError:
        return Verdict.IGNORE
    return Verdict.ACCEPT


def pass_on_transactions(transactions: Transactions, network: Network) -> None:
    """From now on, send every transaction that becomes ready to all peers; the network drops what they know.

    A peer whose session begins later is sent those that still wait: a service that signs something before the first
    session of its node would otherwise be heard only when the signature has expired.
    """

    def send(transaction: PooledTransaction) -> None:
        if not transaction.validity.propagate:
            return
        peers = [peer.peer_id for peer in network.peers()]
        if peers:
            network.broadcast_extrinsics([transaction.extrinsic])
            transactions.broadcast(transaction.hash, peers)

    transactions.on_ready(send)
    network.waiting_extrinsics = lambda: (
        transaction.extrinsic for transaction in transactions.pool.ready() if transaction.validity.propagate
    )


async def announce_blocks(chain: Chain, network: Network) -> None:
    """Announce every new best block, unless we are catching up ourselves."""
    while True:
        with chain.subscribe() as events:
            async for event in events:
                if isinstance(event, BestChanged) and not network.is_major_syncing:
                    network.announce_block(event.header.encode(), event.header.hash, True)
        await trio.lowlevel.checkpoint()
