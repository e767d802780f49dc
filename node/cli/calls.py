"""`datdot tx`, `query` and `rpc`: calls and storage items of the runtime by their declarations, and any RPC method."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from node.cli.keys import SchemeOption, checked_scheme, load_key
from node.cli.options import Json
from node.cli.output import Refused, print_result, refusing

if TYPE_CHECKING:
    from node.client.remote import RemoteChain, RemoteReceipt
    from runtime.construct import Runtime

DEFAULT_RPC_URL = "ws://127.0.0.1:9944"
MAX_ENTRIES = 1_000
Result = TypeVar("Result")

RpcUrl = Annotated[str, typer.Option("--rpc", metavar="URL", help="The node's JSON-RPC address.")]


def tx(
    pallet: Annotated[str, typer.Argument(help="Such as Balances or DatDot.")],
    call: Annotated[str, typer.Argument(help="Such as transfer_keep_alive; an unknown one lists those that exist.")],
    key: Annotated[str, typer.Option("--key", help="Who signs: a key file, or a development URI such as //Alice.")],
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="JSON, else text. Accounts: SS58, 0x… or //Name."),
    ] = None,
    tip: Annotated[int, typer.Option(min=0, help="Planck on top of the fee.")] = 0,
    finalized: Annotated[bool, typer.Option("--finalized", help="Wait until the block is final.")] = False,
    scheme: SchemeOption = "sr25519",
    rpc: RpcUrl = DEFAULT_RPC_URL,
    as_json: Json = False,
) -> None:
    """Sign and send a call, wait for its block, and show what became of it."""
    with refusing():
        signer = load_key(key, checked_scheme(scheme))
        from node.client.connection import RemoteError
        from node.client.values import BadValue, call_from_json, error_text
        from runtime.errors import CodecError

        with refusing(BadValue, RemoteError, CodecError):
            runtime = _runtime()
            composed = call_from_json(runtime, pallet, call, _arguments(arg or []))
            runtime.call_codec.encode(composed)  # what is out of range is refused before anything is sent
            receipt = _run(rpc, runtime, lambda chain: chain.submit(composed, signer, tip=tip, finalized=finalized))
        error = None if receipt.error is None else error_text(runtime, receipt.error)
        _print_receipt(runtime, receipt, error, as_json)
        if error is not None:
            raise Refused(f"the call failed, its fee is paid: {error}")


def query(
    pallet: Annotated[str, typer.Argument(help="Such as System or DatDot.")],
    item: Annotated[str, typer.Argument(help="Such as Account or GetPlanByID; an unknown one lists those that exist.")],
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY…", help="Its keys; without, a map is listed.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="HASH", help="A block; the best one by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_ENTRIES, help="The most entries listed.")] = 100,
    rpc: RpcUrl = DEFAULT_RPC_URL,
    as_json: Json = False,
) -> None:
    """Read a storage item, decoded; null when there is none. A map without keys is listed, an entry a line."""
    with refusing():
        from node.client.connection import RemoteError
        from node.client.values import BadValue, to_json
        from runtime.errors import CodecError

        with refusing(BadValue, RemoteError, CodecError):
            runtime = _runtime()
            found = _storage_item(runtime, pallet, item)
            kinds = [kind for kind, _ in found.hashers]
            if kinds and not keys:
                for entry, value in _run(rpc, runtime, lambda chain: chain.entries(found, limit, at)):
                    parts = entry if len(kinds) > 1 else (entry,)
                    shown = [to_json(kind, part) for kind, part in zip(kinds, parts, strict=True)]
                    _print_value({"keys": shown, "value": to_json(found.value_type, value)}, as_json)
                return
            decoded = _keys(runtime, found.name, kinds, keys or [])
            value = _run(rpc, runtime, lambda chain: chain.value(found, decoded, at))
            _print_value({"value": to_json(found.value_type, value)}, as_json)


def rpc_call(
    method: Annotated[str, typer.Argument(help="Such as system_health or dev_newBlock; rpc_methods names all.")],
    params: Annotated[
        list[str] | None, typer.Argument(metavar="PARAM…", help="Each JSON, else text.", show_default=False)
    ] = None,
    rpc: RpcUrl = DEFAULT_RPC_URL,
) -> None:
    """Call any JSON-RPC method of a node and print its result as JSON."""
    with refusing():
        from node.cli.running import run_until_stopped
        from node.client.connection import RemoteError, open_connection

        async def program() -> tuple[Any]:
            async with open_connection(rpc) as connection:
                return (await connection.call(method, *map(_json_or_text, params or ())),)

        with refusing(RemoteError):
            done = run_until_stopped(program)
        if done is None:
            raise Refused("stopped before the node's answer came")
        typer.echo(json.dumps(done[0]))


def _runtime() -> Runtime:
    """The runtime of this program; constants of the chain do not matter to codecs and names."""
    from pallets.chain import build_runtime

    return build_runtime()


def _run(url: str, runtime: Runtime, work: Callable[[RemoteChain], Awaitable[Result]]) -> Result:
    """Connects, works, and gives the result; raises RemoteError, and Refused when the process is told to stop."""
    from node.cli.running import run_until_stopped
    from node.client.connection import open_connection
    from node.client.remote import RemoteChain

    async def program() -> tuple[Result]:
        async with open_connection(url) as connection:
            return (await work(await RemoteChain.open(connection, runtime)),)

    done = run_until_stopped(program)
    if done is None:
        raise Refused("stopped before the node's answer came")
    return done[0]


def _arguments(pairs: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise Refused(f"--arg {pair}: write it as name=value")
        if name in arguments:
            raise Refused(f"--arg {name} is given twice")
        arguments[name] = _json_or_text(text)
    return arguments


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _keys(runtime: Runtime, item: str, kinds: list[Any], texts: list[str]) -> tuple[Any, ...]:
    from node.client.values import from_json

    if len(texts) != len(kinds):
        raise Refused(f"{item} takes {len(kinds)} keys, {len(texts)} are given")
    named = enumerate(zip(kinds, texts, strict=True), 1)
    return tuple(from_json(runtime, kind, _json_or_text(text), f"key {number}") for number, (kind, text) in named)


def _storage_item(runtime: Runtime, pallet: str, name: str) -> Any:
    from node.client.values import find_pallet

    found = find_pallet(runtime, pallet)
    items = {item.name: getattr(found, attribute) for attribute, item in found.storage().items()}
    for known, item in items.items():
        if known.lower() == name.lower():
            return item
    raise Refused(f"{found.name} stores no {name}; it stores {', '.join(items) or 'nothing'}")


def _print_receipt(runtime: Runtime, receipt: RemoteReceipt, error: str | None, as_json: bool) -> None:
    from node.client.values import event_json

    place = {
        "extrinsic": receipt.extrinsic_hash,
        "block": receipt.block_hash,
        "number": receipt.block_number,
        "index": receipt.index,
    }
    events = [event_json(runtime, event) for event in receipt.events]
    if as_json:
        print_result({**place, "error": error, "events": events}, as_json)
    else:
        print_result(place, as_json)
        for event in events:
            typer.echo(f"{event['name']}  {json.dumps(event['data'])}")


def _print_value(value: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(value))
    elif "keys" in value:
        typer.echo(f"{' '.join(json.dumps(key) for key in value['keys'])}  {json.dumps(value['value'])}")
    else:
        typer.echo(json.dumps(value["value"], indent=2))
