"""How long the state transition takes: `python -m benchmarks.runtime [transfers] [--profile]`.

A block of balance transfers between 200 accounts on the whole DatDot runtime, from bytes to the finished header. The
signatures are verified before (a node's pool does that). Prints milliseconds per block and microseconds per transfer,
for a first execution on fresh state and for the hot parts alone.
"""

from __future__ import annotations

import cProfile
import pstats
import sys

from benchmarks.figures import Figure, median_seconds, progress, show
from node.keys.keypair import Keypair
from pallets.chain import runtime_for
from pallets.chain_file import Authority, new_genesis
from pallets.randomness import OnionReveal, RandomnessConfig, onion_item, onion_layer, onion_tip
from runtime.account import AccountInfo, Id
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import build_genesis
from runtime.header import PreRuntime
from runtime.state import DictState
from runtime.transition import BlockExecution, ExecutedBlock

SLOT_MS = 6_000
SLOT = 300_000_000
ACCOUNTS = 200
BALANCE = 10**15
ONION_SECRET = bytes(32)
REPETITIONS = 5


def make_signer(number: int) -> Keypair:
    """Return an ed25519 account."""
    return Keypair.from_seed(number.to_bytes(32, "little"), "ed25519")


class TransferBlock:
    """A chain file, its genesis state, and the signed extrinsics of block 1."""

    def __init__(self, transfers: int) -> None:
        signers = [make_signer(number) for number in range(ACCOUNTS)]
        layers = RandomnessConfig().epoch_slots
        spec = new_genesis(
            name="Benchmark",
            id="benchmark",
            chain_type="Development",
            slot_duration_ms=SLOT_MS,
            authorities=[Authority(signers[0].account_id, onion_tip(ONION_SECRET, layers))],
            balances=[(signer.account_id, BALANCE) for signer in signers],
        )
        self.runtime = runtime_for(spec)
        genesis = build_genesis(self.runtime, spec)
        self.parent = genesis.header
        self.state = DictState()
        self.state.apply(genesis.changes)
        self.nodes = dict(genesis.trie.new)
        layer = onion_layer(ONION_SECRET, layers, 0)
        self.digest = (
            PreRuntime(b"aura", SLOT.to_bytes(8, "little")),
            onion_item(codec_for(OnionReveal).encode(OnionReveal(layer, None))),
        )
        codec = self.runtime.extrinsic_codec
        self.inherent = codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": SLOT * SLOT_MS}))
        self.transfers = [
            sign_extrinsic(
                codec,
                self.runtime.version,
                RuntimeCall(
                    "Balances",
                    "transfer_keep_alive",
                    {"dest": Id(signers[(number * 7 + 1) % ACCOUNTS].account_id), "value": 1_000_000 + number},
                ),
                signers[number % ACCOUNTS],
                nonce=number // ACCOUNTS,
                genesis_hash=self.parent.hash,
            )
            for number in range(transfers)
        ]

    def apply(self) -> BlockExecution:
        """Apply every extrinsic."""
        execution = BlockExecution(self.runtime, self.parent, self.state, self.digest, self.nodes.__getitem__)
        execution.initialize()
        for extrinsic in (self.inherent, *self.transfers):
            outcome = execution.apply(extrinsic)
            if outcome.error is not None:
                raise outcome.error
        return execution

    def execute(self) -> ExecutedBlock:
        """Make the whole block."""
        return self.apply().finalize()


def figures(transfers: int = 1_000) -> list[Figure]:
    """Milliseconds per block and microseconds per transfer."""
    progress("state transition")
    block = TransferBlock(transfers)
    block.execute()  # verifies the signatures, which the cache remembers
    decode = block.runtime.extrinsic_codec.decode
    execution = block.apply()
    info = codec_for(AccountInfo)
    encoded = info.encode(AccountInfo())
    rows = (
        ("decode", lambda: [decode(extrinsic) for extrinsic in block.transfers]),
        ("initialize and apply", block.apply),
        ("encode the changes", execution.overlay.changes),
        ("whole block with both roots", block.execute),
        ("an AccountInfo decoded for each", lambda: [info.decode(encoded) for _ in range(transfers)]),
    )
    found = []
    for name, operation in rows:
        spent = 1_000 * median_seconds(operation, REPETITIONS)
        found.append(Figure(f"runtime: {transfers:,} transfers, {name}", spent, "ms"))
        found.append(Figure("  per transfer", spent * 1_000 / transfers, "us"))
    return found


def profile_block(transfers: int) -> None:
    """Print where the time of a block goes."""
    block = TransferBlock(transfers)
    block.execute()
    profile = cProfile.Profile()
    profile.runcall(block.execute)
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    numbers = [int(argument) for argument in arguments if argument.isdecimal()]
    transfers = numbers[0] if numbers else 1_000
    if "--profile" in arguments:
        profile_block(transfers)
    else:
        show(figures(transfers))


if __name__ == "__main__":
    main(sys.argv[1:])
