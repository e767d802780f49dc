"""Two different logs signed for the same fork and length: the proof that a signing key was used twice.

It happens when a backup is restored, or one key runs on two devices, and both appended. Nobody can say which log is
the right one, so the core is frozen: it can be read here, and is neither changed nor replicated any more.
"""

from dataclasses import dataclass

from hypercore import crypto, merkle
from hypercore.encoding import Reader, Writer
from hypercore.errors import BlockNotAvailable, InvalidOperation
from hypercore.messages import Data
from hypercore.proof import Proof, TreeView, verify_head_from_nothing

MAXIMUM_RIVAL_BYTES = 1 << 21


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both tree hashes were signed for the first `length` blocks of `fork`; `rival` is the other log's proof."""

    fork: int
    length: int
    our_tree_hash: bytes
    their_tree_hash: bytes
    rival: Proof

    def encode(self) -> bytes:
        """The conflict as it is kept on disk."""
        out = Writer().uint(self.fork).uint(self.length)
        out.fixed(self.our_tree_hash, crypto.HASH_SIZE).fixed(self.their_tree_hash, crypto.HASH_SIZE)
        return out.buffer(Data(0, self.rival).encode()).finish()

    @classmethod
    def decode(cls, data: bytes) -> "Conflict":
        """The conflict in `data`; raises `DecodeError`."""
        reader = Reader(data)
        fork, length = reader.uint(), reader.uint()
        ours, theirs = reader.fixed(crypto.HASH_SIZE), reader.fixed(crypto.HASH_SIZE)
        rival = Data.decode(reader.buffer(MAXIMUM_RIVAL_BYTES)).proof
        reader.finish()
        return cls(fork, length, ours, theirs, rival)

    def __str__(self) -> str:
        return (
            f"two logs are signed for {self.length} blocks of fork {self.fork}: "
            f"{self.our_tree_hash.hex()[:16]} here, {self.their_tree_hash.hex()[:16]} at a peer"
        )


def find_conflict(view: TreeView, proof: Proof) -> Conflict | None:
    """Compare a peer's signed head, shown from nothing, with ours at the length that the proof names.

    None when they agree, or when nothing can be said: another fork, a longer log than ours, or nodes missing here.
    Raises a subclass of `InvalidProof` when the peer's head is not signed.
    """
    growth = proof.upgrade
    if growth is None or growth.start != 0 or proof.block or proof.hash or proof.seek:
        raise InvalidOperation("heads are compared by growth from 0 blocks and nothing else")
    if proof.fork != view.fork or growth.length > view.length:
        return None
    verify_head_from_nothing(view.key, view.manifest, proof)
    try:
        ours = merkle.tree_hash(merkle.read_roots(view.read_node, growth.length))
    except BlockNotAvailable:
        return None
    theirs = merkle.tree_hash(growth.nodes)
    return None if ours == theirs else Conflict(proof.fork, growth.length, ours, theirs, proof)
