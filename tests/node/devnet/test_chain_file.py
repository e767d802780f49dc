"""Chain files of development networks."""

from pathlib import Path

import pytest

from genesis import chain_file
from node.devnet.chain_file import (
    ChainFileMismatch,
    development_spec,
    open_chain_file,
    provider_uri,
    validator_uri,
)
from node.keys.derivation import keypair_from_uri
from node.runtime_source import node_runtime
from runtime.genesis import ChainSpec, build_genesis


def spec(validators: int = 1, providers: int = 0, seconds: float = 1.0) -> ChainSpec:
    return development_spec(validators, providers, block_time_seconds=seconds, name="DatDot Test")


def test_one_validator_at_one_second_is_the_packaged_development_chain() -> None:
    packaged = ChainSpec.parse(chain_file("dev"))
    made = spec()
    assert made.slot_duration_ms == packaged.slot_duration_ms
    assert made.genesis["Aura"] == packaged.genesis["Aura"]
    assert made.genesis["Randomness"] == packaged.genesis["Randomness"]
    assert made.genesis["Balances"] == packaged.genesis["Balances"]


def test_names_beyond_ferdie_are_numbered() -> None:
    assert [validator_uri(index) for index in (0, 5, 6)] == ["//Alice", "//Ferdie", "//Validator//7"]
    assert provider_uri(0) == "//Provider//1"


def test_every_validator_and_provider_can_pay_fees() -> None:
    made = spec(validators=8, providers=3)
    runtime = node_runtime(made)
    genesis = build_genesis(runtime, made)
    uris = [validator_uri(index) for index in range(8)] + [provider_uri(index) for index in range(3)]
    from runtime.state import DictState

    state = DictState()
    state.apply(genesis.changes)
    with runtime.at(state):
        for uri in uris:
            data = runtime.system.account_data(keypair_from_uri(uri).account_id)  # type: ignore[attr-defined]
            assert data.free > 0, uri


@pytest.mark.parametrize("seconds", [0.5, 1.0, 6.0])
def test_another_block_time_keeps_the_seconds_that_work_may_take(seconds: float) -> None:
    constants = spec(seconds=seconds).genesis["constants"]["DatDot"]
    assert constants["AmendmentFollowupDelay"] * seconds == pytest.approx(60)
    assert constants["ResponseWindow"] * seconds >= 10
    assert constants["ChallengeDelay"] == 5


def test_a_directory_keeps_its_chain(tmp_path: Path) -> None:
    first = open_chain_file(tmp_path, spec(seconds=2.0), block_time_given=True)
    assert first.slot_duration_ms == 2000
    again = open_chain_file(tmp_path, spec(), block_time_given=False)
    assert again.slot_duration_ms == 2000


def test_another_block_time_for_an_existing_chain_is_refused(tmp_path: Path) -> None:
    open_chain_file(tmp_path, spec(), block_time_given=False)
    with pytest.raises(ChainFileMismatch, match="block time of 1 s, not 3 s"):
        open_chain_file(tmp_path, spec(seconds=3.0), block_time_given=True)


def test_a_damaged_chain_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text("{")
    with pytest.raises(ChainFileMismatch, match=r"chain\.json"):
        open_chain_file(tmp_path, spec(), block_time_given=False)
