"""The constants of the hosting market: the seed's eleven by their names, then ours. All of them are in the metadata."""

from dataclasses import dataclass

from pallets.datdot.lane import POSITIONS_PER_AMENDMENT, SEAL_KEY_BITS
from pallets.datdot.types import CHECKS_BOUND, CONTRACTS_BOUND, LIST_BOUND, RANGES_BOUND, TASKS_BOUND
from runtime.pallet import constant
from runtime.types import U8, U16, U32, U64, U128

PPM = 1_000_000


@dataclass(frozen=True)
class DatDotConfig:
    """Blocks, counts, bytes, planck (1 DAT = 10^9 planck), ppm (millionths). Raises ValueError when they disagree."""

    performance_attestor_count: U8 = constant(5, "Attestors that measure delivery in one performance challenge.")
    challenge_delay: U32 = constant(
        5, "Blocks between two storage challenges of a hoster, before the jitter of 0 up to as many less one."
    )
    encoding_duration: U32 = constant(2, "Blocks for which a chosen encoder must be available.")
    attesting_duration: U32 = constant(2, "Blocks for which a chosen attestor must be available.")
    amendment_followup_delay: U32 = constant(
        5, "Blocks after the booking in which a report is accepted; then the attestor counts as silent."
    )
    contract_set_size: U64 = constant(
        10, "Chunks in a contract; only the last contract of a feed's ranges may have fewer."
    )
    contract_activation_cap: U8 = constant(
        50, "Waiting amendments that one block may take up, and contracts of one plan that one block starts or closes."
    )
    encoders_per_contract: U8 = constant(3, "Encoders of a contract, one for each position.")
    hosters_per_contract: U8 = constant(3, "Hosters of a contract, one for each position.")
    attestors_per_contract: U8 = constant(1, "Attestors of an amendment, any one of whom may report.")
    max_selected_per_role: U32 = constant(300, "Candidates of a role that one draw looks at.")
    seal_key_bits: U16 = constant(1_024, "Size of an encoder's lane keys in bits: 1,024 or 2,048.")
    response_window: U32 = constant(
        3, "Blocks in which a hoster may answer a storage challenge; a closing challenge has twice as many."
    )
    leaves_per_challenge: U8 = constant(10, "Leaves drawn by a storage challenge over all bytes of the hoster.")
    evict_after_misses: U8 = constant(
        3, "Challenges that a lane may miss in a row; with the last of them the hoster loses it."
    )
    max_ranges_per_dataset: U32 = constant(256, "Ranges in one dataset.")
    max_conditions: U8 = constant(
        8, "Timetables, regions or performances that one form, or one entry of a program, may name."
    )
    max_contracts_per_plan: U32 = constant(1_000, "Contracts of one plan.")
    max_amendments_per_contract: U8 = constant(
        100, "Amendments that a contract remembers; the oldest are forgotten first."
    )
    max_retries: U8 = constant(
        10, "Retries of a setup with growing pauses; after them the contract waits in the queue."
    )
    max_retry_backoff_doublings: U8 = constant(
        6, "The pause before retry k lasts 2^k blocks, with k no larger than this."
    )
    queue_retry_delay: U32 = constant(
        100, "Blocks after which everything that waits for providers is tried again even if nobody came."
    )
    max_hosting_slots: U16 = constant(
        256, "Largest capacity that a provider may offer in a role; bounds the lanes that one challenge settles."
    )
    due_per_block: U16 = constant(
        200, "Tasks of the calendar that one block carries out, each contract that starts or closes counted as one; "
        "the rest moves on to the next block."
    )
    draws_per_block: U16 = constant(100, "Storage challenges that one block may open.")
    hosting_price: U128 = constant(1_700_000, "Default pay of a hoster per chunk and block, in planck.")
    encoding_price: U128 = constant(1_250_000, "Default pay of an encoder per chunk, in planck.")
    attesting_price: U128 = constant(470_000, "Default pay of a setup attestor per chunk and lane, in planck.")
    storage_check_price: U128 = constant(
        2_000_000, "Default pay of an attestor per lane settled in a storage challenge, in planck."
    )
    performance_check_price: U128 = constant(
        3_000_000, "Default pay of a performance attestor per hoster measured, in planck."
    )
    storage_share: U32 = constant(
        700_000, "Share of the hosting pay that storing alone earns, in ppm; the rest scales with the measured quality."
    )
    protocol_fee: U32 = constant(10_000, "Share of the hosting pay that goes to the treasury, in ppm.")
    severance_blocks: U32 = constant(
        100, "Blocks of hosting pay kept in escrow for the hosters of a plan that its sponsor cancels."
    )

    def __post_init__(self) -> None:
        """Refuse a configuration under which the market could not work."""
        rules = {
            "EncodersPerContract must equal HostersPerContract": (
                self.encoders_per_contract == self.hosters_per_contract
            ),
            f"HostersPerContract must be 1 to {POSITIONS_PER_AMENDMENT}": (
                1 <= self.hosters_per_contract <= POSITIONS_PER_AMENDMENT
            ),
            f"AttestorsPerContract must be 1 to {LIST_BOUND}": 1 <= self.attestors_per_contract <= LIST_BOUND,
            f"MaxRangesPerDataset must be 1 to {RANGES_BOUND}": 1 <= self.max_ranges_per_dataset <= RANGES_BOUND,
            f"MaxContractsPerPlan must be 1 to {CONTRACTS_BOUND}": 1 <= self.max_contracts_per_plan <= CONTRACTS_BOUND,
            "MaxAmendmentsPerContract must be at least 1": self.max_amendments_per_contract >= 1,
            f"MaxConditions is at most {LIST_BOUND}": self.max_conditions <= LIST_BOUND,
            "DuePerBlock, DrawsPerBlock and QueueRetryDelay must be at least 1": (
                min(self.due_per_block, self.draws_per_block, self.queue_retry_delay) >= 1
            ),
            f"SealKeyBits must be one of {SEAL_KEY_BITS}": self.seal_key_bits in SEAL_KEY_BITS,
            "ContractSetSize must be 1 to 255": 1 <= self.contract_set_size <= 255,
            "ChallengeDelay must be at least 1": self.challenge_delay >= 1,
            "ResponseWindow must be at least 1": self.response_window >= 1,
            "AmendmentFollowupDelay must be at least 1": self.amendment_followup_delay >= 1,
            "ContractActivationCap must be at least 1": self.contract_activation_cap >= 1,
            "LeavesPerChallenge must be at least 1": self.leaves_per_challenge >= 1,
            f"LeavesPerChallenge x (EvictAfterMisses + 1) is at most {CHECKS_BOUND}": (
                self.leaves_per_challenge * (self.evict_after_misses + 1) <= CHECKS_BOUND
            ),
            f"MaxHostingSlots is at most {TASKS_BOUND // 3}": self.max_hosting_slots <= TASKS_BOUND // 3,
            "EvictAfterMisses must be at least 1": self.evict_after_misses >= 1,
            "StorageShare and ProtocolFee are at most 1,000,000 ppm": max(self.storage_share, self.protocol_fee) <= PPM,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError("; ".join(broken))
