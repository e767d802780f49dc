"""The chain as a whole: indices, constants, chain files."""

from __future__ import annotations

import json

import pytest

import genesis
from node.keys.keypair import Keypair
from pallets.chain import build_runtime, runtime_for
from pallets.chain_file import at_slot_duration, chain_file_text, followup_ms, new_genesis
from pallets.datdot.config import DatDotConfig
from pallets.runtime_apis import runtime_apis
from pallets.sudo import Sudo
from runtime.account import Id
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import ChainSpec, build_genesis
from runtime.genesis_fields import GenesisError
from runtime.state import DictState
from runtime.version import api_id
from tests.pallets.chainfiles import ENDOWMENT, account, authority, dev_chain, local_chain
from tests.pallets.harness import Chain, transfer

INDICES = {
    "System": 0,
    "Timestamp": 1,
    "Aura": 2,
    "Session": 3,
    "Randomness": 4,
    "Balances": 5,
    "TransactionPayment": 6,
    "Sudo": 7,
    "Utility": 8,
    "Scheduler": 9,
    "Multisig": 10,
    "Proxy": 11,
    "DatDot": 20,
}


def constants_of(pallet: str, **arguments: object) -> dict[str, object]:
    runtime = build_runtime(**arguments)  # type: ignore[arg-type]
    return {constant.name: constant.value for constant in runtime.pallet(pallet).constants()}


def test_pallets_have_their_indices() -> None:
    assert {pallet.name: pallet.index for pallet in build_runtime().pallets} == INDICES


def test_the_version_names_the_chain_and_its_apis() -> None:
    version = build_runtime().version
    assert (version.spec_name, version.spec_version, version.transaction_version) == ("datdot", 1, 1)
    assert dict(version.apis) == {api_id(api.name): api.api_version for api in runtime_apis(build_runtime()).apis}
    assert (bytes.fromhex("37e397fc7c91f5e4"), 2) in version.apis
    assert (bytes.fromhex("df6acb689907609b"), 5) in version.apis


def test_the_slot_time_sets_the_minimum_period() -> None:
    assert constants_of("Aura", slot_duration_ms=1_000)["SlotDuration"] == 1_000
    assert constants_of("Timestamp", slot_duration_ms=1_000)["MinimumPeriod"] == 500


def test_constants_of_a_chain_file_stand_over_the_defaults() -> None:
    chosen = {"DatDot": {"ChallengeDelay": 7}, "Balances": {"ExistentialDeposit": 1}}
    assert constants_of("DatDot", constants=chosen)["ChallengeDelay"] == 7
    assert constants_of("Balances", constants=chosen)["ExistentialDeposit"] == 1
    assert constants_of("DatDot", datdot_config=DatDotConfig(challenge_delay=9))["ChallengeDelay"] == 9


@pytest.mark.parametrize(
    ("constants", "path"),
    [
        ({"DatDot": {"ChallengeDelays": 7}}, "genesis.constants.DatDot.ChallengeDelays"),
        ({"DatDot": {"challenge_delay": 7}}, "genesis.constants.DatDot.challenge_delay"),
        ({"DatDot": {"ChallengeDelay": -1}}, "genesis.constants.DatDot.ChallengeDelay"),
        ({"DatDot": {"ChallengeDelay": "soon"}}, "genesis.constants.DatDot.ChallengeDelay"),
        ({"DatDot": {"ChallengeDelay": True}}, "genesis.constants.DatDot.ChallengeDelay"),
        ({"DatDot": {"ChallengeDelay": 0}}, "genesis.constants.DatDot"),
        ({"DatDot": 5}, "genesis.constants.DatDot"),
        ({"Aura": {"SlotDuration": 5}}, "genesis.constants.Aura"),
        ({"Datdot": {}}, "genesis.constants.Datdot"),
        ({"Balances": {"Treasury": 5}}, "genesis.constants.Balances.Treasury"),
        ([], "genesis.constants"),
    ],
)
def test_a_constant_that_cannot_be_is_named(constants: object, path: str) -> None:
    with pytest.raises(GenesisError) as raised:
        build_runtime(constants=constants)  # type: ignore[arg-type]
    assert raised.value.path == path


@pytest.mark.parametrize(("name", "expected"), [("dev", dev_chain()), ("local", local_chain())])
def test_chain_files_are_what_new_genesis_makes(name: str, expected: ChainSpec) -> None:
    assert genesis.chain_file(name) == chain_file_text(expected)


@pytest.mark.parametrize("name", genesis.NAMES)
def test_chain_files_build_a_genesis_block(name: str) -> None:
    spec = ChainSpec.parse(genesis.chain_file(name))
    assert spec.to_json() == json.loads(genesis.chain_file(name))
    first, second = (build_genesis(runtime_for(spec), spec).header.hash for _ in range(2))
    assert first == second


def test_there_is_no_other_chain_file() -> None:
    with pytest.raises(KeyError, match="no chain file"):
        genesis.chain_file("../pyproject")


def test_development_chains_leave_a_minute_for_a_setup() -> None:
    assert followup_ms(dev_chain()) == followup_ms(local_chain()) == 60_000


@pytest.mark.parametrize(("slot_duration_ms", "followup", "window"), [(1_000, 60, 10), (2_000, 30, 5), (7_000, 9, 2)])
def test_another_slot_time_keeps_deadlines_in_seconds(slot_duration_ms: int, followup: int, window: int) -> None:
    spec = at_slot_duration(dev_chain(), slot_duration_ms)
    constants = spec.genesis["constants"]["DatDot"]
    assert (constants["AmendmentFollowupDelay"], constants["ResponseWindow"]) == (followup, window)
    assert constants["ChallengeDelay"] == 5
    assert followup_ms(spec) >= 60_000
    assert dev_chain().genesis["constants"]["DatDot"]["AmendmentFollowupDelay"] == 60


def test_defaults_are_rescaled_too() -> None:
    spec = new_genesis(
        name="x", id="x", chain_type="Local", slot_duration_ms=6_000, authorities=[authority("Alice")], balances=[]
    )
    assert followup_ms(spec) == 30_000
    assert at_slot_duration(spec, 3_000).genesis["constants"]["DatDot"]["AmendmentFollowupDelay"] == 10


def genesis_with(**sections: object) -> ChainSpec:
    spec = new_genesis(
        name="x",
        id="x",
        chain_type="Local",
        slot_duration_ms=1_000,
        authorities=[authority("Alice")],
        balances=[(account("Bob"), 1_000)],
        sudo=account("Alice"),
    )
    spec.genesis.update(sections)  # type: ignore[attr-defined]
    return spec


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"Aura": {"authorities": []}}, "genesis.Aura.authorities"),
        ({"Aura": {}}, "genesis.Aura.authorities"),
        ({"Aura": {"authorities": ["Alice"]}}, "genesis.Aura.authorities[0]"),
        ({"Aura": {"authorities": ["0x" + account("Bob").hex()] * 2}}, "genesis.Aura.authorities"),
        ({"Session": {"validators": []}}, "genesis.Session.validators"),
        ({"Sudo": {"key": "0x00"}}, "genesis.Sudo.key"),
        ({"Sudo": {"Key": None}}, "genesis.Sudo.Key"),
        ({"Balances": {"balances": [["0x" + account("Bob").hex()]]}}, "genesis.Balances.balances[0]"),
        ({"Balances": {"balances": {}}}, "genesis.Balances.balances"),
        ({"Scheduler": {"agenda": []}}, "genesis.Scheduler.agenda"),
        ({"Nobody": {}}, "genesis.Nobody"),
    ],
)
def test_a_wrong_section_of_a_chain_file_is_named(sections: dict[str, object], path: str) -> None:
    spec = genesis_with(**sections)
    with pytest.raises(GenesisError) as raised:
        build_genesis(runtime_for(spec), spec)
    assert raised.value.path == path


@pytest.mark.parametrize(("section", "has_key"), [({}, False), (local_chain().genesis["Sudo"], True)])
def test_a_chain_may_have_no_sudo(section: dict[str, object], has_key: bool) -> None:
    spec = genesis_with(Sudo=section)
    runtime = runtime_for(spec)
    sudo = runtime.pallet("Sudo")
    assert isinstance(sudo, Sudo)
    assert (sudo.key.key_of() in build_genesis(runtime, spec).changes) is has_key


def test_an_account_with_an_ecdsa_key_signs_like_any_other(chain: Chain) -> None:
    signer = Keypair.from_seed(b"\x07" * 32, "ecdsa")
    who = signer.account_id
    chain.submit("Bob", "Balances", "transfer_keep_alive", dest=Id(who), value=10**9)
    extrinsic = sign_extrinsic(
        chain.runtime.extrinsic_codec,
        chain.runtime.version,
        transfer(account("Eve"), 1_000),
        signer,
        nonce=0,
        genesis_hash=chain.genesis_hash,
    )
    parent, state = chain.header, DictState(dict(chain.state.pairs))
    executed = chain.block(extrinsic)
    chain.verify(executed, parent, state)
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000
