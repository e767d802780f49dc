"""The scenario with py-substrate-interface, which has an environment of its own. See scenario.py for the steps."""

import hashlib
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from substrateinterface import ExtrinsicReceipt, Keypair, KeypairType, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException

# The mini secret of the well-known development phrase.
DEVELOPMENT_SEED = bytes.fromhex("fac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e")
SUBSCRIBED_ITEMS = 3

Json = dict[str, Any]
scenario: Json = json.loads(sys.argv[1])


def report(name: str, values: Json) -> None:
    """Print a step's line."""
    print(json.dumps({"step": name, **values}), flush=True)


def step(name: str, work: Callable[[], Json]) -> Json:
    """Run a step and report its result; an exception of the library ends the script with status 1."""
    try:
        result = work()
        report(name, result)
        return result
    except Exception:
        print(f"{name}:\n{traceback.format_exc()}", file=sys.stderr)
        sys.exit(1)


def ed25519_key(name: str) -> Keypair:
    """The ed25519 key of //name: the library derives no ed25519 paths, so the hard junction is done here."""
    chain_code = (bytes([len(name) << 2]) + name.encode()).ljust(32, b"\0")
    label = bytes([len("Ed25519HDKD") << 2]) + b"Ed25519HDKD"
    seed = hashlib.blake2b(label + DEVELOPMENT_SEED + chain_code, digest_size=32).hexdigest()
    return Keypair.create_from_seed(f"0x{seed}", crypto_type=KeypairType.ED25519, ss58_format=42)


def receipt_json(receipt: ExtrinsicReceipt) -> Json:
    """What became of an extrinsic, read from its block."""
    records = [record.value for record in receipt.triggered_events]
    error = None
    if not receipt.is_success:
        failed = next(record for record in records if record["event_id"] == "ExtrinsicFailed")
        error = error_json(failed["attributes"]["dispatch_error"], receipt)
    return {
        "block": receipt.block_hash,
        "index": receipt.extrinsic_idx,
        "events": [
            {"name": f"{record['module_id']}.{record['event_id']}", "data": record["attributes"]} for record in records
        ],
        "error": error,
        "total_fee": receipt.total_fee_amount,
    }


def error_json(error: Any, receipt: ExtrinsicReceipt) -> list[str]:
    """The library resolves errors of pallets only; of others it gives the decoded variant."""
    if "Module" not in error:
        return [str(part) for pair in error.items() for part in pair]
    message = receipt.error_message
    return [message["type"], message["name"], " ".join(message["docs"])]


def subscribed(subscribe: Callable[[Callable[..., Any]], Any], value: Callable[[Any], Any]) -> list[Any]:
    """The first items of a subscription, which the handler ends by returning something."""
    seen: list[Any] = []

    def handler(item: Any, number: int, _subscription: str) -> list[Any] | None:
        seen.append(value(item))
        return seen if len(seen) == SUBSCRIBED_ITEMS else None

    subscribe(handler)
    return seen


def main() -> None:
    """Run all steps."""
    substrate = SubstrateInterface(url=scenario["url"], ss58_format=42)
    alice = {"sr25519": Keypair.create_from_uri("//Alice"), "ed25519": ed25519_key("Alice")}
    user = Keypair.create_from_uri(scenario["user"])
    market = scenario["market"]

    def transfer(amount: int = scenario["amount"]) -> Any:
        arguments = {"dest": scenario["recipient"], "value": amount}
        return substrate.compose_call("Balances", "transfer_keep_alive", arguments)

    def batch_all(*calls: Any) -> Any:
        return substrate.compose_call("Utility", "batch_all", {"calls": list(calls)})

    def submit(call: Any, key: Keypair, **options: Any) -> Json:
        extrinsic = substrate.create_signed_extrinsic(call=call, keypair=key, **options)
        return receipt_json(substrate.submit_extrinsic(extrinsic, wait_for_finalization=True))

    step("connect", lambda: connect(substrate))
    step("constants", lambda: constants(substrate))
    started = step("storage", lambda: storage(substrate, alice["sr25519"].ss58_address))
    step("accounts", lambda: {"addresses": [who.value for who, _ in substrate.query_map("System", "Account")]})
    step("fee", lambda: fee(substrate.get_payment_info(transfer(), alice["sr25519"])))
    for one in scenario["transfers"]:
        era = {"era": {"period": 64}} if one["mortal"] else {}
        step(one["name"], lambda one=one, era=era: submit(transfer(), alice[one["scheme"]], tip=one["tip"], **era))
    step("received", lambda: received(substrate))
    step("token_error", lambda: submit(transfer(1 << 100), alice["sr25519"]))

    publish_plan = substrate.compose_call("DatDot", "publish_plan", market["publish_plan"])
    step("module_error", lambda: submit(publish_plan, user))
    remark = substrate.compose_call("System", "remark", {"remark": "0x646174"})
    sudo = substrate.compose_call("Sudo", "sudo", {"call": remark})
    step("batch_all", lambda: submit(batch_all(transfer(), remark), alice["sr25519"]))
    step("batch_all_undone", lambda: submit(batch_all(transfer(), sudo), user))
    remarked = substrate.compose_call("System", "remark_with_event", {"remark": "0x646174"})
    multisig(substrate, alice["sr25519"], user, remarked)
    proxy(substrate, submit, alice["sr25519"], user, remarked, batch_all(transfer(1)))
    step("new_user", lambda: submit(substrate.compose_call("DatDot", "new_user", market["new_user"]), user))
    step("publish_feed", lambda: submit(substrate.compose_call("DatDot", "publish_feed", market["feed"]), user))
    step("publish_plan", lambda: with_plan(substrate, submit(publish_plan, user)))
    step("at", lambda: at(substrate, started["number"]))
    step("heads", lambda: heads(substrate))
    step("storage_subscription", lambda: storage_subscription(substrate))
    step("author", lambda: {"author": substrate.get_block(include_author=True)["author"]})
    step("refused", lambda: refused(substrate, transfer(1)))
    substrate.close()
    report("done", {})


def multisig(substrate: SubstrateInterface, alice: Keypair, user: Keypair, call: Any) -> None:
    """Two of three approve a call: the first by its hash, the second with the call."""
    signatories = [alice.ss58_address, user.ss58_address, scenario["recipient"]]
    account = substrate.generate_multisig_account(signatories=signatories, threshold=2)
    enough = {"ref_time": 10_000_000_000, "proof_size": 0}

    def approve(key: Keypair) -> Json:
        extrinsic = substrate.create_multisig_extrinsic(call, key, account, max_weight=enough)
        return receipt_json(substrate.submit_extrinsic(extrinsic, wait_for_finalization=True))

    step("multisig_opened", lambda: approve(alice))
    opened = substrate.query("Multisig", "Multisigs", [account.value, call.call_hash]).value
    step("multisig", lambda: {**approve(user), "account": account.ss58_address, "depositor": opened["depositor"]})


def proxy(
    substrate: SubstrateInterface,
    submit: Callable[..., Json],
    alice: Keypair,
    user: Keypair,
    remark: Any,
    spending: Any,
) -> None:
    """A proxy remarks for the user but cannot spend for it; a pure account is made by the user."""
    limited = {"delegate": alice.ss58_address, "proxy_type": "NonTransfer", "delay": 0}

    def call(function: str, **arguments: Any) -> Any:
        return substrate.compose_call("Proxy", function, arguments)

    def proxied(inner: Any, kind: str | None) -> Any:
        return call("proxy", real=user.ss58_address, force_proxy_type=kind, call=inner)

    step("proxy_added", lambda: submit(call("add_proxy", **limited), user))
    step("proxied", lambda: submit(proxied(remark, None), alice))
    step("proxy_limited", lambda: submit(proxied(spending, "NonTransfer"), alice))
    step("proxy_removed", lambda: submit(call("remove_proxy", **limited), user))
    step("pure", lambda: submit(call("create_pure", proxy_type="Any", delay=0, index=0), user))


def connect(substrate: SubstrateInterface) -> Json:
    """What the library found out about the chain."""
    version = substrate.get_constant("System", "Version").value
    return {
        "chain": substrate.chain,
        "spec": version["spec_name"],
        "token": substrate.token_symbol,
        "decimals": substrate.token_decimals,
        "metadata_version": int(next(iter(substrate.metadata.value[1]))[1:]),
    }


def constants(substrate: SubstrateInterface) -> Json:
    """Constants from the metadata."""
    names = {
        "ss58_prefix": ("System", "SS58Prefix"),
        "existential_deposit": ("Balances", "ExistentialDeposit"),
        "challenge_delay": ("DatDot", "ChallengeDelay"),
    }
    return {key: substrate.get_constant(*name).value for key, name in names.items()}


def storage(substrate: SubstrateInterface, account: str) -> Json:
    """Values of the best block."""
    return {
        "free": substrate.query("System", "Account", [account]).value["data"]["free"],
        "number": substrate.query("System", "Number").value,
        "now_ms": substrate.query("Timestamp", "Now").value,
        "unknown_plan": substrate.query("DatDot", "GetPlanByID", [4_000_000]).value,
    }


def fee(info: Json) -> Json:
    """The library's estimate."""
    weight = info["weight"]["ref_time"]
    return {"partial_fee": info["partialFee"], "class": info["class"], "ref_time": weight}


def received(substrate: SubstrateInterface) -> Json:
    """The account that got the transfers."""
    account = substrate.query("System", "Account", [scenario["recipient"]]).value
    return {"free": account["data"]["free"], "nonce": account["nonce"]}


def with_plan(substrate: SubstrateInterface, result: Json) -> Json:
    """The receipt and the plan that its event names."""
    event = next(event for event in result["events"] if event["name"] == "DatDot.NewPlan")
    plan = substrate.query("DatDot", "GetPlanByID", [event["data"]["plan"]]).value
    shown = {key: plan[key] for key in ("from", "until", "state")}
    return {**result, "plan": {**shown, "contracts": len(plan["contracts"])}}


def at(substrate: SubstrateInterface, number: int) -> Json:
    """State of an earlier block."""
    block_hash = substrate.get_block_hash(number)
    account = substrate.query("System", "Account", [scenario["recipient"]], block_hash=block_hash).value
    return {
        "number": substrate.query("System", "Number", block_hash=block_hash).value,
        "free": account["data"]["free"],
    }


def heads(substrate: SubstrateInterface) -> Json:
    """Numbers of the next heads."""
    return {"numbers": subscribed(substrate.subscribe_block_headers, lambda item: item["header"]["number"])}


def storage_subscription(substrate: SubstrateInterface) -> Json:
    """The time of the next blocks."""

    def subscribe(handler: Callable[..., Any]) -> Any:
        return substrate.query("Timestamp", "Now", subscription_handler=handler)

    return {"seen": subscribed(subscribe, lambda item: item.value)}


def refused(substrate: SubstrateInterface, call: Any) -> Json:
    """What the library says about an extrinsic that cannot pay."""
    poor = Keypair.create_from_uri(scenario["stranger"])
    try:
        substrate.submit_extrinsic(substrate.create_signed_extrinsic(call=call, keypair=poor))
    except SubstrateRequestException as error:
        return {"code": error.args[0]["code"], "message": f"{error.args[0]['message']}: {error.args[0]['data']}"}
    return {"message": None}


if __name__ == "__main__":
    main()
