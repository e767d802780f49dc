"""Configurations under which the market could not work are refused."""

from typing import Any

import pytest

from pallets.datdot.config import DatDotConfig
from pallets.datdot.pallet import DatDot

SEED_CONSTANTS = {
    "PerformanceAttestorCount": 5,
    "ChallengeDelay": 5,
    "EncodingDuration": 2,
    "AttestingDuration": 2,
    "AmendmentFollowupDelay": 5,
    "ContractSetSize": 10,
    "ContractActivationCap": 50,
    "EncodersPerContract": 3,
    "HostersPerContract": 3,
    "AttestorsPerContract": 1,
    "MaxSelectedPerRole": 300,
}
SEED_STORAGE = {
    "GetItemByID", "GetUserByID", "GetUserIDByNoiseKey", "GetUserIDBySigningKey", "GetFeedByID", "GetFeedByKey",
    "GetPlanByID", "GetAmendmentByID", "GetContractByID", "GetStorageChallengeByID", "GetPerformanceChallengeByID",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoders_per_contract": 2},
        {"encoders_per_contract": 4, "hosters_per_contract": 4},
        {"encoders_per_contract": 0, "hosters_per_contract": 0},
        {"attestors_per_contract": 0},
        {"attestors_per_contract": 65},
        {"max_ranges_per_dataset": 2_000},
        {"max_contracts_per_plan": 0},
        {"max_amendments_per_contract": 0},
        {"due_per_block": 0},
        {"draws_per_block": 0},
        {"queue_retry_delay": 0},
        {"seal_key_bits": 512},
        {"contract_set_size": 0},
        {"contract_set_size": 256},
        {"challenge_delay": 0},
        {"response_window": 0},
        {"amendment_followup_delay": 0},
        {"contract_activation_cap": 0},
        {"leaves_per_challenge": 0},
        {"leaves_per_challenge": 255, "evict_after_misses": 10},
        {"evict_after_misses": 0},
        {"max_hosting_slots": 2_000},
        {"storage_share": 1_000_001},
        {"protocol_fee": 1_000_001},
    ],
)
def test_a_market_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        DatDotConfig(**wrong)


def test_the_seeds_constants_and_storage_keep_their_names(world: Any) -> None:
    constants = {constant.name: constant.value for constant in world.market.constants()}
    assert constants.items() >= SEED_CONSTANTS.items()
    assert all(constant.docs[0] for constant in world.market.constants())
    assert {item.name for item in DatDot.storage().values()} >= SEED_STORAGE
    assert all(item.docs for item in DatDot.storage().values())
