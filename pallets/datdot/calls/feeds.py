"""Making feeds known."""

from hypercore.crypto import discovery_key
from hypercore.errors import RemoteProtocolError
from hypercore.proof import SignedHead, decode_head_proof, verify_head
from pallets.datdot import items
from pallets.datdot.events import DatDotError, NewFeed
from pallets.datdot.storage import Market
from pallets.datdot.types import Feed, FeedHead
from runtime.errors import ModuleError


def publish_feed(market: Market, user_id: int, key: bytes, head_proof: bytes) -> int:
    """The id of the feed with this key; one that is not known yet is stored with its head, whose proof must hold."""
    known = market.feed_by_key.get(key)
    if known is not None:
        return known
    head = _verified(key, head_proof)
    feed_id = market.new_id(items.Feed())
    stored = FeedHead(head.length, head.byte_length, head.tree_hash)
    market.feed_by_id.put(feed_id, Feed(key, discovery_key(key), user_id, head.fork, stored))
    market.feed_by_key.put(key, feed_id)
    market.deposit_event(NewFeed(feed_id))
    return feed_id


def _verified(key: bytes, head_proof: bytes) -> SignedHead:
    try:
        proof = decode_head_proof(head_proof)
        return verify_head(key, proof.manifest, proof.fork, proof.length, proof.nodes, proof.signature)
    except RemoteProtocolError:
        raise ModuleError(DatDotError.BAD_PROOF) from None
