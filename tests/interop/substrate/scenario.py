"""The scenario that every client runs against one `datdot dev`, and the scripts' reports.

A script gets the scenario as JSON on its command line and prints one JSON line per step. All scripts report the same
steps with the same keys, so that the same assertions hold for all clients: amounts are decimal text or numbers,
accounts SS58, an extrinsic's report is {statuses, block, index, events: [{name: "Pallet.Event", data}], error}.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercore.crypto import KeyPair
from hypercore.io.core import Core
from hypercore.proof import create_range_proof, encode_block_sizes_proof
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import SCHEMES, Scheme
from node.roles.identity import ProviderIdentity
from runtime.crypto import ss58_encode

FOLDER = Path(__file__).parent
SCRIPT_TIMEOUT_SECONDS = 240
AMOUNT_PLANCK = 1_000_000_000
DEPOSIT_PLANCK = 10**14
PLAN_FROM, PLAN_UNTIL = 1_000_000, 1_000_100
FEED_BLOCKS = [b"one block", b"another", b"and the last"]
TRANSFERS = (
    {"name": "sr25519_mortal", "scheme": "sr25519", "mortal": True, "tip": 7},
    {"name": "sr25519_immortal", "scheme": "sr25519", "mortal": False, "tip": 0},
    {"name": "ed25519_mortal", "scheme": "ed25519", "mortal": True, "tip": 0},
    {"name": "ed25519_immortal", "scheme": "ed25519", "mortal": False, "tip": 11},
)


def address(uri: str, scheme: Scheme = "sr25519") -> str:
    """The SS58 address of a development key."""
    return ss58_encode(keypair_from_uri(uri, scheme).account_id)


ALICE = {scheme: address("//Alice", scheme) for scheme in SCHEMES}


@dataclass(frozen=True)
class Report:
    """What one client reported: its lines by step, and its standard error."""

    client: str
    scenario: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]]
    stderr: str

    def __getitem__(self, step: str) -> Mapping[str, Any]:
        return self.steps[step]


def make_scenario(client: str, url: str, genesis_hash: bytes) -> dict[str, Any]:
    """Everything a script needs; accounts, keys and the feed are the client's own, so that clients do not meet."""
    user = f"//User//{client}"
    return {
        "client": client,
        "url": url,
        "recipient": address(f"//Recipient//{client}"),
        "watched": address(f"//Watched//{client}"),
        "amount": AMOUNT_PLANCK,
        "transfers": TRANSFERS,
        "stranger": f"//Stranger//{client}",
        "user": user,
        "ecdsa": f"//Ecdsa//{client}",
        "market": _market(client, genesis_hash, user),
    }


def _market(client: str, genesis_hash: bytes, user: str) -> dict[str, Any]:
    """Arguments of the market's calls with real signatures and proofs, bytes in hexadecimal."""
    identity = ProviderIdentity.of(keypair_from_uri(user))
    proofs = identity.key_proofs(genesis_hash)
    core = Core.create(key_pair=KeyPair.from_seed(client.encode().ljust(32, b".")))
    core.append(FEED_BLOCKS)
    sizes = encode_block_sizes_proof(create_range_proof(core.view(), 0, core.length - 1))
    feed = {"key": _hex(core.key), "head_proof": _hex(core.head_proof())}
    dataset = {"feed": -1, "ranges": [[0, core.length - 1]], "sizes_proofs": [_hex(sizes)]}
    program = [{"datasets": [-1], "regions": [], "performances": []}]
    empty: dict[str, list[Any]] = {"timetables": [], "regions": [], "performances": [], "resources": []}
    return {
        "new_user": {
            "noise_key": _hex(identity.noise_key),
            "signing_key": _hex(identity.signing_key),
            "key_proofs": {"noise": _hex(proofs.noise), "signing": _hex(proofs.signing)},
        },
        "feed": feed,
        "publish_plan": {
            "plan": {"from": PLAN_FROM, "until": PLAN_UNTIL, "program": program, "prices": None},
            "components": {"feeds": [feed], "datasets": [dataset], **empty},
            "deposit": DEPOSIT_PLANCK,
        },
    }


def run_client(client: str, command: Sequence[str], scenario: Mapping[str, Any]) -> Report:
    """Runs a script to its end and returns its report; fails with its standard error when it does not succeed."""
    try:
        result = subprocess.run(
            [*command, json.dumps(scenario)],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=SCRIPT_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{client} took too long; it reported:\n{late.stdout}\n{late.stderr}") from None
    steps = {line.pop("step"): line for line in map(json.loads, result.stdout.splitlines())}
    if result.returncode != 0 or "done" not in steps:
        raise AssertionError(f"{client} ended with status {result.returncode} after {list(steps)}:\n{result.stderr}")
    return Report(client, scenario, steps, result.stderr)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
