"""Chain files of the DatDot chain: new ones, and old ones at another slot time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pallets.chain import Constants
from pallets.datdot.config import DatDotConfig
from runtime.crypto import ss58_encode
from runtime.genesis import ChainSpec

PROPERTIES = {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "DAT"}


@dataclasses.dataclass(frozen=True)
class Authority:
    """A genesis authority: its sr25519 key, which is its account, and the tip of its onion for epoch 0."""

    account: bytes
    onion_tip: bytes


def new_genesis(
    *,
    name: str,
    id: str,
    chain_type: str,
    slot_duration_ms: int,
    authorities: Sequence[Authority],
    balances: Sequence[tuple[bytes, int]],
    sudo: bytes | None = None,
    constants: Constants | None = None,
    bootnodes: Sequence[str] = (),
) -> ChainSpec:
    """Return a new chain file: who authors, who owns how much (planck), who is sudo, and which constants differ.

    `ChainSpec.to_json()` is what goes into the file; `build_genesis` checks the content.
    """
    genesis: dict[str, Any] = {
        "Aura": {"authorities": [ss58_encode(authority.account) for authority in authorities]},
        "Randomness": {
            "onions": [[ss58_encode(authority.account), "0x" + authority.onion_tip.hex()] for authority in authorities]
        },
        "Balances": {"balances": [[ss58_encode(account), amount] for account, amount in balances]},
    }
    if sudo is not None:
        genesis["Sudo"] = {"key": ss58_encode(sudo)}
    if constants:
        genesis["constants"] = {pallet: dict(values) for pallet, values in constants.items()}
    return ChainSpec(name, id, chain_type, PROPERTIES, slot_duration_ms, genesis, tuple(bootnodes))


def chain_file_text(spec: ChainSpec) -> str:
    """Return the text of a chain file: the same bytes for the same chain."""
    return json.dumps(spec.to_json(), indent=2, ensure_ascii=False) + "\n"


def at_slot_duration(spec: ChainSpec, slot_duration_ms: int) -> ChainSpec:
    """Return the chain file with another slot time; deadlines that stand for seconds of work keep their seconds."""
    constants: Mapping[str, Any] = spec.genesis.get("constants", {})
    market: dict[str, Any] = dict(constants.get("DatDot", {}))
    defaults = DatDotConfig()
    for constant, blocks in (
        ("AmendmentFollowupDelay", defaults.amendment_followup_delay),
        ("ResponseWindow", defaults.response_window),
    ):
        duration_ms = market.get(constant, blocks) * spec.slot_duration_ms
        market[constant] = max(-(-duration_ms // slot_duration_ms), 1)
    genesis = {**spec.genesis, "constants": {**constants, "DatDot": market}}
    return dataclasses.replace(spec, slot_duration_ms=slot_duration_ms, genesis=genesis)


def followup_ms(spec: ChainSpec) -> int:
    """Return how long a setup may take before its attestor counts as silent, in milliseconds.

    It must exceed the measured time of a setup: a chain file for which it does not should be refused.
    """
    market: Mapping[str, int] = spec.genesis.get("constants", {}).get("DatDot", {})
    blocks = market.get("AmendmentFollowupDelay", DatDotConfig().amendment_followup_delay)
    return blocks * spec.slot_duration_ms
