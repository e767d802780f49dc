"""Proofs about a log, in one place: parts of requests and answers, producer, verifier, and the chain's frozen verifier.

`create_proof` answers a request from a stored tree and `verify_proof` checks an answer against the tree we have.
`verify_head`, `verify_block` and `verify_block_sizes` check what a chain is given, from a key or a tree hash alone.
"""

from hypercore.heads import (
    BlockProof,
    BlockSizesProof,
    HeadProof,
    SignedHead,
    SizedHash,
    create_block_proof,
    create_range_proof,
    decode_block_proof,
    decode_block_sizes_proof,
    decode_head_proof,
    encode_block_proof,
    encode_block_sizes_proof,
    encode_head_proof,
    verify_block,
    verify_block_sizes,
    verify_head,
    verify_head_proof,
)
from hypercore.proof_parts import (
    BlockRequest,
    DataBlock,
    DataHash,
    DataSeek,
    DataUpgrade,
    HashRequest,
    Proof,
    ProofRequest,
    SeekRequest,
    TreeView,
    UpgradeRequest,
    missing_nodes,
)
from hypercore.prover import create_proof
from hypercore.verifier import Head, VerifiedBatch, verify_head_from_nothing, verify_proof

__all__ = [
    "BlockProof",
    "BlockRequest",
    "BlockSizesProof",
    "DataBlock",
    "DataHash",
    "DataSeek",
    "DataUpgrade",
    "HashRequest",
    "Head",
    "HeadProof",
    "Proof",
    "ProofRequest",
    "SeekRequest",
    "SignedHead",
    "SizedHash",
    "TreeView",
    "UpgradeRequest",
    "VerifiedBatch",
    "create_block_proof",
    "create_proof",
    "create_range_proof",
    "decode_block_proof",
    "decode_block_sizes_proof",
    "decode_head_proof",
    "encode_block_proof",
    "encode_block_sizes_proof",
    "encode_head_proof",
    "missing_nodes",
    "verify_block",
    "verify_block_sizes",
    "verify_head",
    "verify_head_from_nothing",
    "verify_head_proof",
    "verify_proof",
]
