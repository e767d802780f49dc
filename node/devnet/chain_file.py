"""Chain files of development networks: public keys, funded accounts, a chosen block time."""

import json
from dataclasses import replace
from pathlib import Path

from genesis import chain_file
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Scheme
from pallets.balances import TREASURY
from pallets.chain_file import Authority, at_slot_duration, new_genesis
from pallets.randomness.config import RandomnessConfig
from pallets.randomness.onion import onion_secret, onion_tip
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError

NAMES = ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")
FUNDED_SCHEMES: tuple[Scheme, ...] = ("sr25519", "ed25519")
ENDOWMENT_PLANCK = 2**60
CHAIN_FILE = "chain.json"


class ChainFileMismatch(Exception):
    """A directory holds another chain than was asked for: one sentence."""


def validator_uri(index: int) -> str:
    """The development URI of validator `index`, from 0: //Alice … //Ferdie, then //Validator//7 …"""
    return f"//{NAMES[index]}" if index < len(NAMES) else f"//Validator//{index + 1}"


def provider_uri(index: int) -> str:
    """The development URI of provider `index`, from 0: //Provider//1 …"""
    return f"//Provider//{index + 1}"


def development_spec(
    validators: int, providers: int, *, block_time_seconds: float, name: str, chain_type: str = "Local"
) -> ChainSpec:
    """A chain file for development keys, with 2^60 planck for each development account and provider."""
    base = ChainSpec.parse(chain_file("dev"))
    keys = [keypair_from_uri(validator_uri(index)) for index in range(validators)]
    funded = [keypair_from_uri(f"//{one}", scheme).account_id for scheme in FUNDED_SCHEMES for one in NAMES]
    funded += [key.account_id for key in keys[len(NAMES) :]]
    funded += [keypair_from_uri(provider_uri(index)).account_id for index in range(providers)]
    layers = RandomnessConfig().epoch_slots
    spec = new_genesis(
        name=name,
        id="datdot_dev" if chain_type == "Development" else "datdot_local",
        chain_type=chain_type,
        slot_duration_ms=base.slot_duration_ms,
        authorities=[Authority(key.account_id, onion_tip(onion_secret(key.onion_seed, 0), layers)) for key in keys],
        balances=[(account, ENDOWMENT_PLANCK) for account in (*funded, TREASURY)],
        sudo=keypair_from_uri("//Alice").account_id,
        constants=base.genesis.get("constants"),
    )
    return at_slot_duration(spec, round(block_time_seconds * 1000))


def at_block_time(spec: ChainSpec, seconds: float | None) -> ChainSpec:
    """A project's chain file at another block time, or as it is for None."""
    if seconds is None:
        return spec
    duration_ms = round(seconds * 1000)
    if "DatDot" in spec.genesis.get("constants", {}):
        return at_slot_duration(spec, duration_ms)
    return replace(spec, slot_duration_ms=duration_ms)


def open_chain_file(directory: Path, wanted: ChainSpec, *, block_time_given: bool) -> ChainSpec:
    """The chain file of a directory, written from `wanted` when there is none.

    Raises ChainFileMismatch when the directory's chain has another block time than was asked for, or is damaged.
    """
    path = directory / CHAIN_FILE
    if not path.exists():
        path.write_text(json.dumps(wanted.to_json(), indent=2) + "\n")
        return wanted
    try:
        found = ChainSpec.parse(path.read_bytes())
    except GenesisError as error:
        raise ChainFileMismatch(f"{path}: {error}") from None
    if block_time_given and found.slot_duration_ms != wanted.slot_duration_ms:
        raise ChainFileMismatch(
            f"the chain in {directory} has a block time of {found.slot_duration_ms / 1000:g} s,"
            f" not {wanted.slot_duration_ms / 1000:g} s: leave --block-time out or choose a new directory"
        )
    return found
