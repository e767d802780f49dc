"""The tests of py-substrate-interface that need no particular chain pass against a node of ours."""

from __future__ import annotations

from typing import Final

import pytest

from tests.interop.substrate import psi_suite
from tests.interop.substrate.conftest import DevNode

pytestmark = pytest.mark.interop

PASS: Final = {
    "extension_interface": ("test_unsupported_extension_call",),
    "init": (
        "test_override_incorrect_ss58_format",
        "test_override_incorrect_token_decimals",
        "test_override_ss58_format_init",
        "test_override_token_symbol",
        "test_strict_scale_decode",
    ),
    "query": (
        "test_missing_params",
        "test_non_existing_query",
        "test_storage_key_unknown",
        "test_system_account_non_existing",
        "test_well_known_keys_default",
        "test_well_known_keys_not_found",
        "test_well_known_keys_result",
    ),
    "query_map": (
        "test_exceed_maximum_page_size",
        "test_map_with_param",
        "test_non_existing_query_map",
        "test_non_map_function_query_map",
    ),
    "runtime_call": (
        "test_check_all_runtime_call_types",
        "test_metadata_call_info",
        "test_unknown_runtime_call",
    ),
    "subscriptions": ("test_query_subscription", "test_subscribe_new_heads", "test_subscribe_storage_multi"),
}
"""By module: what needs only a Substrate node."""

ANOTHER_CHAIN: Final = {
    "extension_interface": {
        "test_search_block_number": "a block of Polkadot by its date",
        "test_search_block_timestamp": "the time of Polkadot's block 1,000",
    },
    "init": {
        "test_chain": "the names of Kusama and Polkadot",
        "test_context_manager": "Kusama's address format",
        "test_is_valid_ss58_address": "addresses of Kusama and Polkadot",
        "test_lru_cache_not_shared": "a block of Kusama",
        "test_properties": "tokens of Kusama and Polkadot",
        "test_ss58_format": "address formats of Kusama and Polkadot",
        "test_token_decimals": "tokens of Kusama and Polkadot",
        "test_token_symbol": "tokens of Kusama and Polkadot",
    },
    "query": {
        "test_identity_hasher": "pallet Claims",
        "test_modifier_default_result": "pallet Staking",
        "test_modifier_option_result": "pallet Identity at a block of Kusama",
        "test_query_multi": "pallet Staking at a block of Kusama",
        "test_system_account": "an account at a block of Kusama",
        "test_well_known_pallet_version": "a storage version of Balances, which our pallets do not keep",
    },
    "query_map": {
        "test_claims_claim_map": "pallet Claims",
        "test_double_map": "pallet Staking",
        "test_double_map_no_result": "pallet Staking",
        "test_double_map_page_size": "pallet Staking",
        "test_double_map_too_many_params": "pallet Staking",
        "test_max_results": "pallet Claims",
        "test_result_exhausted": "pallet Claims",
        "test_system_account_map_block_hash": "a block of Kusama",
    },
    "runtime_call": {
        "test_core_version": "the name of Polkadot's runtime",
        "test_core_version_at_not_best_block": "the name of Polkadot's runtime",
        "test_transaction_payment": "addresses as Polkadot's preset of types has them, plain account ids",
    },
}
"""By module: what asks for another chain, and for what of it."""


@pytest.fixture(scope="module")
def results(dev_node: DevNode) -> dict[str, str]:
    return psi_suite.run(dev_node.url)


@pytest.mark.parametrize("test", [f"{module}.{test}" for module, tests in PASS.items() for test in tests])
def test_a_test_of_the_library_passes(results: dict[str, str], test: str) -> None:
    assert results[test] == "ok"


def test_every_other_test_asks_for_another_chain(results: dict[str, str]) -> None:
    listed = {f"{module}.{test}" for tests in (PASS, ANOTHER_CHAIN) for module in tests for test in tests[module]}
    assert set(results) == listed
