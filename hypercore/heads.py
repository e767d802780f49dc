"""The verifier that a chain runs: signed heads, blocks and block sizes, from a core key or a stored tree hash alone.

FROZEN: results here decide what a block of the chain means. A change is a new runtime version.

A head is stored as four numbers (`SignedHead`). What is proven later is proven against its tree hash: a run of leaves
is put between the largest subtrees on its left and on its right, and the tree grown from them must have the stored
hash. The places of those subtrees follow from the length, so proofs carry sizes and hashes only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypercore import crypto, flat_tree, merkle
from hypercore.encoding import MAXIMUM_UINT, Reader, Writer
from hypercore.errors import DecodeError, InvalidChecksum, InvalidOperation, InvalidProof
from hypercore.manifest import Manifest
from hypercore.merkle import Growth, Node, NodeReader
from hypercore.proof_parts import DataUpgrade, Proof, TreeView
from hypercore.verifier import verify_head_from_nothing

MAXIMUM_BLOCK_BYTES = 65_536
MAXIMUM_MANIFEST_BYTES = 4096
MAXIMUM_SIGNATURE_BYTES = 4096
MAXIMUM_HEAD_NODES = 64
MAXIMUM_SIBLINGS = 128
MAXIMUM_RANGE_BLOCKS = 1024

_SIZED_HASH_SIZE_MINIMUM = 33


@dataclass(frozen=True, slots=True)
class SignedHead:
    """What a chain keeps of a verified head: blocks, fork, 32-byte tree hash, bytes of all blocks."""

    length: int
    fork: int
    tree_hash: bytes
    byte_length: int


@dataclass(frozen=True, slots=True)
class HeadProof:
    """A head as its author publishes it. `manifest` is None only for cores whose key is the public key."""

    manifest: bytes | None
    fork: int
    length: int
    nodes: tuple[Node, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class SizedHash:
    """A tree node without its index: bytes below it, and its hash."""

    size: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class BlockProof:
    """The largest subtrees left of a block, then those right of it, each list from left to right."""

    siblings: tuple[SizedHash, ...]


@dataclass(frozen=True, slots=True)
class BlockSizesProof:
    """Leaves `first` to `first + len(leaves) - 1` with the largest subtrees on both sides."""

    first: int
    leaves: tuple[SizedHash, ...]
    siblings: tuple[SizedHash, ...]


def verify_head(
    key: bytes, manifest: bytes | None, fork: int, length: int, nodes: Sequence[Node], signature: bytes
) -> SignedHead:
    """Verify a head for a core key from nothing: manifest against key, nodes against length, signature against all.

    Raises `InvalidProof` or `DecodeError`.
    """
    if len(key) != crypto.KEY_SIZE:
        raise DecodeError(f"a core key has {crypto.KEY_SIZE} bytes, got {len(key)}")
    if not 0 < length <= MAXIMUM_UINT // 2 or not 0 <= fork <= MAXIMUM_UINT:
        raise InvalidOperation(f"length {length} or fork {fork} is out of range")
    rules = Manifest.decode(manifest) if manifest else None
    proof = Proof(fork, upgrade=DataUpgrade(0, length, tuple(nodes), (), signature), manifest=rules)
    head, _ = verify_head_from_nothing(key, None, proof)
    return SignedHead(head.length, head.fork, head.tree_hash, head.byte_length)


def verify_head_proof(key: bytes, proof: HeadProof) -> SignedHead:
    """`verify_head` of a decoded proof."""
    return verify_head(key, proof.manifest, proof.fork, proof.length, proof.nodes, proof.signature)


def encode_head_proof(proof: HeadProof) -> bytes:
    """Canonical bytes of a head proof."""
    out = Writer().optional_buffer(proof.manifest).uint(proof.fork).uint(proof.length)
    merkle.write_nodes(out, proof.nodes)
    return out.buffer(proof.signature).finish()


def decode_head_proof(data: bytes) -> HeadProof:
    """The head proof in `data`, whole, canonical and bounded; raises `DecodeError`."""
    reader = Reader(data, canonical=True)
    manifest = reader.optional_buffer(MAXIMUM_MANIFEST_BYTES)
    fork, length = reader.uint(), reader.uint()
    nodes = merkle.read_nodes(reader, MAXIMUM_HEAD_NODES)
    signature = reader.buffer(MAXIMUM_SIGNATURE_BYTES)
    reader.finish()
    return HeadProof(manifest, fork, length, nodes, signature)


def create_block_proof(view: TreeView, index: int) -> BlockProof:
    """The proof that a block belongs to the present head; raises `BlockNotAvailable` when nodes are missing."""
    return BlockProof(_siblings(view, index, index + 1))


def verify_block(head: SignedHead, index: int, value: bytes, proof: BlockProof) -> None:
    """Check that block `index` of the log with this head has exactly the content `value`; raises `InvalidProof`."""
    leaf = SizedHash(len(value), crypto.leaf_hash(value))
    _check_range(head, index, (leaf,), proof.siblings)


def create_range_proof(view: TreeView, first: int, last: int) -> BlockSizesProof:
    """The proof of the sizes of blocks `first` to `last`, both included, against the present head.

    Raises `BlockNotAvailable` when nodes are missing.
    """
    siblings = _siblings(view, first, last + 1)
    leaves = tuple(_sized(view.read_node, 2 * index) for index in range(first, last + 1))
    return BlockSizesProof(first, leaves, siblings)


def verify_block_sizes(
    head: SignedHead, proof: BlockSizesProof, maximum_block_bytes: int = MAXIMUM_BLOCK_BYTES
) -> tuple[int, ...]:
    """Check the leaves against the head and each size against the maximum; returns the sizes.

    What this proves without the blocks themselves: a parent's hash covers the *sum* of its two leaves' sizes, so sums
    of sibling pairs are certain and how a pair divides its sum is the prover's claim. Every pair, also one that lies
    half outside of the range, must sum up to at most twice the maximum; hence no block of the range is larger than
    that, and `verify_block` with its content exposes one that is larger than claimed. Raises `InvalidProof`.
    """
    if not 0 < len(proof.leaves) <= MAXIMUM_RANGE_BLOCKS:
        raise InvalidOperation(f"a range has 1 to {MAXIMUM_RANGE_BLOCKS} blocks, got {len(proof.leaves)}")
    for position, leaf in enumerate(proof.leaves):
        if leaf.size > maximum_block_bytes:
            raise InvalidProof(
                f"block {proof.first + position} has {leaf.size} bytes, at most {maximum_block_bytes} are allowed"
            )
    _check_range(head, proof.first, proof.leaves, proof.siblings)
    _check_edges(head, proof, maximum_block_bytes)
    return tuple(leaf.size for leaf in proof.leaves)


def encode_block_proof(proof: BlockProof) -> bytes:
    """Canonical bytes of a block proof."""
    return _write_sized(Writer(), proof.siblings).finish()


def decode_block_proof(data: bytes) -> BlockProof:
    """The block proof in `data`, whole, canonical and bounded; raises `DecodeError`."""
    reader = Reader(data, canonical=True)
    siblings = _read_sized(reader, MAXIMUM_SIBLINGS)
    reader.finish()
    return BlockProof(siblings)


def encode_block_sizes_proof(proof: BlockSizesProof) -> bytes:
    """Canonical bytes of a range proof."""
    return _write_sized(_write_sized(Writer().uint(proof.first), proof.leaves), proof.siblings).finish()


def decode_block_sizes_proof(data: bytes) -> BlockSizesProof:
    """The range proof in `data`, whole, canonical and bounded; raises `DecodeError`."""
    reader = Reader(data, canonical=True)
    first = reader.uint()
    leaves = _read_sized(reader, MAXIMUM_RANGE_BLOCKS)
    siblings = _read_sized(reader, MAXIMUM_SIBLINGS)
    reader.finish()
    return BlockSizesProof(first, leaves, siblings)


def _sized(read: NodeReader, index: int) -> SizedHash:
    node = merkle.require(read, index)
    return SizedHash(node.size, node.hash)


def _sides(length: int, first: int, end: int) -> tuple[list[int], list[int]]:
    """Indexes of the subtrees left and right of blocks `first` to `end - 1`."""
    if not 0 <= first < end <= length:
        raise InvalidOperation(f"blocks {first} to {end - 1} are not in a log of {length} blocks")
    return flat_tree.cover(0, first), flat_tree.cover(end, length)


def _siblings(view: TreeView, first: int, end: int) -> tuple[SizedHash, ...]:
    left, right = _sides(view.length, first, end)
    return tuple(_sized(view.read_node, index) for index in left + right)


def _check_range(head: SignedHead, first: int, leaves: Sequence[SizedHash], siblings: Sequence[SizedHash]) -> None:
    left, right = _sides(head.length, first, first + len(leaves))
    if len(siblings) != len(left) + len(right):
        raise InvalidOperation(f"expected {len(left) + len(right)} sibling nodes, got {len(siblings)}")
    growth = Growth.of(_placed(left, siblings[: len(left)]))
    for node in _placed(range(2 * first, 2 * (first + len(leaves)), 2), leaves):
        growth.append_root(node)
    for node in _placed(right, siblings[len(left) :]):
        growth.append_root(node)
    if merkle.tree_hash(growth.roots) != head.tree_hash:
        raise InvalidChecksum("the proof does not lead to the tree hash of the head")


def _check_edges(head: SignedHead, proof: BlockSizesProof, maximum_block_bytes: int) -> None:
    """Bound the pairs at both ends of a checked range whose other leaf lies outside of it."""
    end = proof.first + len(proof.leaves)
    left, _ = _sides(head.length, proof.first, end)
    pairs = []
    if proof.first % 2:
        pairs.append((proof.siblings[len(left) - 1], proof.leaves[0]))
    if end % 2 and end < head.length:
        pairs.append((proof.leaves[-1], proof.siblings[len(left)]))
    for one, other in pairs:
        if one.size + other.size > 2 * maximum_block_bytes:
            raise InvalidProof(
                f"two neighbours have {one.size + other.size} bytes together, which of them is large is not proven"
            )


def _placed(indexes: Iterable[int], sized: Sequence[SizedHash]) -> list[Node]:
    return [Node(index, item.size, item.hash) for index, item in zip(indexes, sized, strict=True)]


def _write_sized(out: Writer, items: Sequence[SizedHash]) -> Writer:
    return out.array(items, lambda writer, item: writer.uint(item.size).fixed(item.hash, crypto.HASH_SIZE))


def _read_sized(reader: Reader, maximum: int) -> tuple[SizedHash, ...]:
    items = reader.array(
        lambda data: SizedHash(data.uint(), data.fixed(crypto.HASH_SIZE)), maximum, _SIZED_HASH_SIZE_MINIMUM
    )
    return tuple(items)
