"""Cores with several signers: each signs its own copy, and the parts are put together to one signature.

Where the manifest allows patches, a part may also be the signature of a longer log; it then carries the tree nodes
between the two lengths. Parts made here always sign the very length that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hypercore import crypto, merkle
from hypercore.encoding import Reader, Writer
from hypercore.errors import LocalProtocolError
from hypercore.manifest import MAXIMUM_PATCH_NODES, Manifest, MultiSignature, PartialSignature, Verifier
from hypercore.merkle import Node
from hypercore.proof import TreeView


@dataclass(frozen=True, slots=True)
class SignaturePart:
    """One signer's signature for a log of `length` blocks of `fork`, made over `patch` blocks more."""

    length: int
    fork: int
    part: PartialSignature
    nodes: tuple[Node, ...] = ()

    def encode(self) -> bytes:
        """Bytes to hand to whoever puts the parts together."""
        part = self.part
        out = Writer().uint(self.length).uint(self.fork).uint(part.signer)
        out.fixed(part.signature, crypto.SIGNATURE_SIZE).uint(part.patch)
        merkle.write_nodes(out, self.nodes)
        return out.finish()

    @classmethod
    def decode(cls, data: bytes) -> "SignaturePart":
        """The part in `data`, whole; raises `DecodeError`."""
        reader = Reader(data, canonical=True)
        length, fork, signer = reader.uint(), reader.uint(), reader.uint()
        part = PartialSignature(signer, reader.fixed(crypto.SIGNATURE_SIZE), reader.uint())
        nodes = merkle.read_nodes(reader, MAXIMUM_PATCH_NODES)
        reader.finish()
        return cls(length, fork, part, nodes)


def needs_quorum(manifest: Manifest | None) -> bool:
    """True when one signer's signature is only a part of the core's."""
    return manifest is not None and len(manifest.signers) > 1


def sign_part(view: TreeView, verifier: Verifier, key_pair: crypto.KeyPair, length: int | None = None) -> SignaturePart:
    """Our part for the first `length` blocks (all unless given).

    Raises `LocalProtocolError` for a key that is no signer and a length beyond the log, `BlockNotAvailable` when tree
    nodes are missing.
    """
    length = view.length if length is None else length
    if not 0 < length <= view.length:
        raise LocalProtocolError(f"cannot sign {length} blocks of a log of {view.length}")
    signers = [signer.public_key for signer in verifier.manifest.signers]
    if key_pair.public_key not in signers:
        raise LocalProtocolError("this key pair is not a signer of the core")
    signer = signers.index(key_pair.public_key)
    tree_hash = merkle.tree_hash(merkle.read_roots(view.read_node, length))
    signature = key_pair.sign(verifier.signable(tree_hash, length, view.fork, signer))
    return SignaturePart(length, view.fork, PartialSignature(signer, signature))


def assemble(manifest: Manifest, parts: Sequence[SignaturePart]) -> bytes:
    """The core's signature from parts of different signers for the same length and fork.

    Raises `LocalProtocolError` when the parts do not fit together or are fewer than the quorum.
    """
    if manifest.version == 0:
        raise LocalProtocolError("signatures of version 0 manifests with several signers are read, not made")
    if len({(part.length, part.fork) for part in parts}) > 1:
        raise LocalProtocolError("the parts are signatures of different lengths or forks")
    by_signer = {part.part.signer: part for part in parts}
    if len(by_signer) < max(1, manifest.quorum):
        raise LocalProtocolError(f"{len(by_signer)} signers signed, the quorum is {manifest.quorum}")
    chosen = [by_signer[signer] for signer in sorted(by_signer)][: manifest.quorum]
    nodes = {node.index: node for part in chosen for node in part.nodes}
    return MultiSignature(tuple(part.part for part in chosen), tuple(nodes.values())).encode()


def signable_length(lengths: Sequence[int], quorum: int) -> int:
    """The longest length that a quorum of signers with copies of these lengths can sign; 0 when they are too few."""
    quorum = max(1, quorum)
    return sorted(lengths, reverse=True)[quorum - 1] if quorum <= len(lengths) else 0
