"""The scenario with async-substrate-interface, which has an environment of its own. See scenario.py for the steps.

The library brings no keys: it takes whatever signs, so keys here are those of the bindings that wallets use.
"""

import asyncio
import hashlib
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import nacl.signing
import sr25519
from async_substrate_interface import AsyncExtrinsicReceipt, AsyncSubstrateInterface
from async_substrate_interface.errors import SubstrateRequestException
from scalecodec.utils.ss58 import ss58_encode

# The mini secret of the well-known development phrase.
DEVELOPMENT_SEED = bytes.fromhex("fac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e")
ED25519, SR25519 = 0, 1
SUBSCRIBED_ITEMS = 3

Json = dict[str, Any]
scenario: Json = json.loads(sys.argv[1])


@dataclass(frozen=True)
class Key:
    """A key as the library wants one."""

    crypto_type: int
    public_key: bytes
    signer: Callable[[bytes], bytes]
    ss58_format: int = 42

    def sign(self, payload: bytearray) -> bytes:
        """The signature of a payload, which the library hands over as a bytearray."""
        return self.signer(bytes(payload))

    @property
    def ss58_address(self) -> str:
        """The address on a chain with the generic prefix."""
        return ss58_encode(self.public_key, self.ss58_format)


def chain_code(name: str) -> bytes:
    """The junction's chain code: the SCALE text, padded."""
    return (bytes([len(name) << 2]) + name.encode()).ljust(32, b"\0")


def sr25519_key(uri: str) -> Key:
    """The key of a //hard//path of the development phrase."""
    public, private = sr25519.pair_from_seed(DEVELOPMENT_SEED)
    for name in uri.split("//")[1:]:
        _, public, private = sr25519.hard_derive_keypair((chain_code(name), public, private), b"")
    return Key(SR25519, public, lambda data: sr25519.sign((public, private), data))


def ed25519_key(uri: str) -> Key:
    """The key of a //hard//path of the development phrase."""
    seed = DEVELOPMENT_SEED
    for name in uri.split("//")[1:]:
        label = bytes([len("Ed25519HDKD") << 2]) + b"Ed25519HDKD"
        seed = hashlib.blake2b(label + seed + chain_code(name), digest_size=32).digest()
    signer = nacl.signing.SigningKey(seed)
    return Key(ED25519, bytes(signer.verify_key), lambda data: signer.sign(data).signature)


def report(name: str, values: Json) -> None:
    """Print a step's line."""
    print(json.dumps({"step": name, **values}), flush=True)


async def step(name: str, work: Awaitable[Json]) -> Json:
    """Run a step and report its result; an exception of the library ends the script with status 1."""
    try:
        result = await work
        report(name, result)
        return result
    except Exception:
        print(f"{name}:\n{traceback.format_exc()}", file=sys.stderr)
        sys.exit(1)


async def receipt_json(receipt: AsyncExtrinsicReceipt) -> Json:
    """What became of an extrinsic, read from its block."""
    records = [record["event"] for record in await receipt.triggered_events]
    error = None
    if not await receipt.is_success:
        error = error_json(await receipt.error_message)
    return {
        "block": receipt.block_hash,
        "index": await receipt.extrinsic_idx,
        "events": [
            {"name": f"{record['module_id']}.{record['event_id']}", "data": record["attributes"]} for record in records
        ],
        "error": error,
    }


def error_json(message: Json) -> list[str]:
    """The library puts an error that is of no pallet under "System", and what it says where the texts are."""
    if message["type"] == "System":
        return [message["name"], message["docs"]]
    return [message["type"], message["name"], " ".join(message["docs"])]


async def main() -> None:
    """Run all steps."""
    async with AsyncSubstrateInterface(scenario["url"], ss58_format=42) as substrate:
        await Client(substrate).run()
    report("done", {})


class Client:
    """The steps over one connection."""

    def __init__(self, substrate: AsyncSubstrateInterface) -> None:
        self.substrate = substrate
        self.alice = {"sr25519": sr25519_key("//Alice"), "ed25519": ed25519_key("//Alice")}
        self.user = sr25519_key(scenario["user"])
        self.market = scenario["market"]

    async def run(self) -> None:
        """Run the steps in order."""
        await step("connect", self.connect())
        await step("constants", self.constants())
        started = await step("storage", self.storage())
        await step("accounts", self.accounts())
        await step("fee", self.fee())
        for one in scenario["transfers"]:
            era = {"period": 64} if one["mortal"] else "00"
            await step(one["name"], self.submit(await self.transfer(), one["scheme"], tip=one["tip"], era=era))
        await step("received", self.received())
        await step("token_error", self.submit(await self.transfer(1 << 100), "sr25519"))
        publish_plan = await self.call("DatDot", "publish_plan", self.market["publish_plan"])
        await step("module_error", self.submit(publish_plan))
        remark = await self.call("System", "remark", {"remark": "0x646174"})
        sudo = await self.call("Sudo", "sudo", {"call": remark})
        await step("batch_all", self.submit(await self.batch_all(await self.transfer(), remark), "sr25519"))
        await step("batch_all_undone", self.submit(await self.batch_all(await self.transfer(), sudo)))
        await step("new_user", self.submit(await self.call("DatDot", "new_user", self.market["new_user"])))
        await step("publish_feed", self.submit(await self.call("DatDot", "publish_feed", self.market["feed"])))
        await step("publish_plan", self.with_plan(publish_plan))
        remarked = await self.call("System", "remark_with_event", {"remark": "0x646174"})
        await self.multisig(remarked)
        await self.proxy(remarked)
        await step("at", self.at(started["number"]))
        await step("heads", self.heads())
        await step("storage_subscription", self.storage_subscription())
        await step("runtime_api", self.runtime_api())
        await step("refused", self.refused())

    async def call(self, pallet: str, function: str, arguments: Json) -> Any:
        """A call of the runtime."""
        return await self.substrate.compose_call(pallet, function, arguments)

    async def transfer(self, amount: int = scenario["amount"]) -> Any:
        """A transfer to the client's own recipient."""
        return await self.call("Balances", "transfer_keep_alive", {"dest": scenario["recipient"], "value": amount})

    async def batch_all(self, *calls: Any) -> Any:
        """All of the calls or none."""
        return await self.call("Utility", "batch_all", {"calls": list(calls)})

    async def submit(self, call: Any, alice: str | None = None, **options: Any) -> Json:
        """Sign with one of Alice's keys, or with the user's, and wait for finality."""
        key = self.user if alice is None else self.alice[alice]
        extrinsic = await self.substrate.create_signed_extrinsic(call, key, **options)
        return await receipt_json(await self.substrate.submit_extrinsic(extrinsic, wait_for_finalization=True))

    async def value(self, pallet: str, item: str, *keys: Any, **options: Any) -> Any:
        """A decoded storage value."""
        found = await self.substrate.query(pallet, item, list(keys), **options)
        return getattr(found, "value", found)

    async def connect(self) -> Json:
        """What the library found out about the chain."""
        version = await self.substrate.get_constant("System", "Version")
        return {
            "chain": self.substrate.chain,
            "spec": getattr(version, "value", version)["spec_name"],
            "token": await self.substrate.token_symbol,
            "decimals": await self.substrate.token_decimals,
        }

    async def constants(self) -> Json:
        """Constants from the metadata."""
        names = {
            "ss58_prefix": ("System", "SS58Prefix"),
            "existential_deposit": ("Balances", "ExistentialDeposit"),
            "challenge_delay": ("DatDot", "ChallengeDelay"),
        }
        found = {key: await self.substrate.get_constant(*name) for key, name in names.items()}
        return {key: getattr(constant, "value", constant) for key, constant in found.items()}

    async def storage(self) -> Json:
        """Values of the best block."""
        account = await self.value("System", "Account", self.alice["sr25519"].ss58_address)
        return {
            "free": account["data"]["free"],
            "number": await self.value("System", "Number"),
            "now_ms": await self.value("Timestamp", "Now"),
            "unknown_plan": await self.value("DatDot", "GetPlanByID", 4_000_000),
        }

    async def accounts(self) -> Json:
        """The keys of a map."""
        entries = await self.substrate.query_map("System", "Account")
        return {"addresses": [who async for who, _ in entries]}

    async def fee(self) -> Json:
        """The library's estimate."""
        info = await self.substrate.get_payment_info(await self.transfer(), self.alice["sr25519"])
        return {"partial_fee": info["partial_fee"], "class": info["class"], "ref_time": info["weight"]["ref_time"]}

    async def received(self) -> Json:
        """The account that got the transfers."""
        account = await self.value("System", "Account", scenario["recipient"])
        return {"free": account["data"]["free"], "nonce": account["nonce"]}

    async def with_plan(self, publish_plan: Any) -> Json:
        """The receipt and the plan that its event names."""
        result = await self.submit(publish_plan)
        event = next(event for event in result["events"] if event["name"] == "DatDot.NewPlan")
        plan = await self.value("DatDot", "GetPlanByID", event["data"]["plan"])
        shown = {key: plan[key] for key in ("from", "until", "state")}
        return {**result, "plan": {**shown, "contracts": len(plan["contracts"])}}

    async def multisig(self, call: Any) -> None:
        """Two of three approve a call: the first by its hash, the second with the call."""
        alice = self.alice["sr25519"]
        account = self.substrate.generate_multisig_account(
            [alice.ss58_address, self.user.ss58_address, scenario["recipient"]], 2
        )
        enough = {"ref_time": 10_000_000_000, "proof_size": 0}
        # The library makes no first approval: it takes for granted that the operation is open already.
        others = sorted(one for one in account.signatories if one != f"0x{alice.public_key.hex()}")
        opening = {"threshold": 2, "other_signatories": others, "maybe_timepoint": None, "max_weight": enough}
        opening["call_hash"] = call.call_hash

        async def executed() -> Json:
            opened = await self.value("Multisig", "Multisigs", account.value, call.call_hash)
            extrinsic = await self.substrate.create_multisig_extrinsic(call, self.user, account, max_weight=enough)
            receipt = await self.substrate.submit_extrinsic(extrinsic, wait_for_finalization=True)
            facts = {"account": account.ss58_address, "depositor": opened["depositor"]}
            return {**await receipt_json(receipt), **facts}

        await step("multisig_opened", self.submit(await self.call("Multisig", "approve_as_multi", opening), "sr25519"))
        await step("multisig", executed())

    async def proxy(self, remark: Any) -> None:
        """A proxy remarks for the user but cannot spend for it; a pure account is made by the user."""
        limited = {"delegate": self.alice["sr25519"].ss58_address, "proxy_type": "NonTransfer", "delay": 0}

        async def submit(function: str, arguments: Json, alice: str | None = None) -> Json:
            return await self.submit(await self.call("Proxy", function, arguments), alice)

        def proxied(inner: Any, kind: str | None) -> Json:
            return {"real": self.user.ss58_address, "force_proxy_type": kind, "call": inner}

        spending = await self.batch_all(await self.transfer(1))
        await step("proxy_added", submit("add_proxy", limited))
        await step("proxied", submit("proxy", proxied(remark, None), "sr25519"))
        await step("proxy_limited", submit("proxy", proxied(spending, "NonTransfer"), "sr25519"))
        await step("proxy_removed", submit("remove_proxy", limited))
        await step("pure", submit("create_pure", {"proxy_type": "Any", "delay": 0, "index": 0}))

    async def at(self, number: int) -> Json:
        """State of an earlier block."""
        block_hash = await self.substrate.get_block_hash(number)
        account = await self.value("System", "Account", scenario["recipient"], block_hash=block_hash)
        return {
            "number": await self.value("System", "Number", block_hash=block_hash),
            "free": account["data"]["free"],
        }

    async def heads(self) -> Json:
        """Numbers of the next heads."""
        numbers: list[int] = []

        async def handler(item: Any) -> list[int] | None:
            numbers.append(item["header"]["number"])
            return numbers if len(numbers) == SUBSCRIBED_ITEMS else None

        await self.substrate.subscribe_block_headers(handler)
        return {"numbers": numbers}

    async def storage_subscription(self) -> Json:
        """The time of the next blocks."""
        seen: list[int] = []

        async def handler(_key: Any, value: Any, _subscription: str) -> list[int] | None:
            seen.append(getattr(value, "value", value))
            return seen if len(seen) == SUBSCRIBED_ITEMS else None

        key = await self.substrate.create_storage_key("Timestamp", "Now", [])
        with suppress(TypeError):  # once the handler has ended the subscription, the library misreads its own result
            await self.substrate.subscribe_storage([key], handler)
        return {"seen": seen}

    async def runtime_api(self) -> Json:
        """The market's queries by name."""

        async def ask(method: str, argument: Any) -> Any:
            found = await self.substrate.runtime_call("DatDotApi", method, [argument])
            return getattr(found, "value", found)

        return {
            "user": await ask("get_user_id_by_noise_key", self.market["new_user"]["noise_key"]),
            "feed": await ask("get_feed_by_key", self.market["feed"]["key"]),
            "unknown": await ask("get_plan_by_id", 4_000_000),
        }

    async def refused(self) -> Json:
        """What the library says about an extrinsic that cannot pay."""
        poor = sr25519_key(scenario["stranger"])
        extrinsic = await self.substrate.create_signed_extrinsic(await self.transfer(1), poor)
        try:
            await self.substrate.submit_extrinsic(extrinsic)
        except SubstrateRequestException as error:
            return {"code": 1010, "message": str(error)}
        return {"message": None}


if __name__ == "__main__":
    asyncio.run(main())
