"""`datdot tx`, `query` and `rpc`: every call and storage item of the chain behind a node, and any RPC method."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from node.cli.keys import SchemeOption, checked_scheme, load_key
from node.cli.options import Json
from node.cli.output import Refused, print_result, refusing

if TYPE_CHECKING:
    from node.client.chain import Receipt
    from node.client.metadata import ChainMetadata
    from node.client.remote import RemoteChain

DEFAULT_RPC_URL = "ws://127.0.0.1:9944"
MAX_ENTRIES = 1_000
HASH_BYTES = 32
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
        from node.client.errors import ClientError
        from node.client.values import BadValue, call_from_json
        from runtime.errors import CodecError

        given = _arguments(arg or [])

        async def submit(chain: RemoteChain) -> tuple[ChainMetadata, Receipt]:
            composed = call_from_json(chain.metadata, pallet, call, given)
            receipt = await chain.submit(composed, signer, tip=tip, finalized=finalized)
            return chain.metadata, receipt

        with refusing(BadValue, ClientError, CodecError):
            metadata, receipt = _run(rpc, submit)
        error = None if receipt.error is None else metadata.error_text(receipt.error)
        _print_receipt(metadata, receipt, error, as_json)
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
        from node.client.errors import ClientError
        from node.client.values import BadValue, find_item, to_json
        from runtime.errors import CodecError

        async def read(chain: RemoteChain) -> None:
            metadata, block = chain.metadata, None if at is None else _block_hash(at)
            owner, entry = find_item(metadata, pallet, item)
            found = metadata.item(owner, entry.name)
            kinds = [kind for kind, _ in found.keys]
            if kinds and not keys:
                for entry_keys, value in await chain.entries(owner, entry.name, limit, block):
                    shown = [to_json(metadata, kind, part) for kind, part in zip(kinds, entry_keys, strict=True)]
                    _print_value({"keys": shown, "value": to_json(metadata, found.value_type, value)}, as_json)
                return
            decoded = _keys(metadata, entry.name, kinds, keys or [])
            value = await chain.query(owner, entry.name, *decoded, at=block)
            _print_value({"value": to_json(metadata, found.value_type, value)}, as_json)

        with refusing(BadValue, ClientError, CodecError):
            _run(rpc, read)


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
        from node.client.connection import open_connection
        from node.client.errors import RemoteError

        async def program() -> tuple[Any]:
            async with open_connection(rpc) as connection:
                return (await connection.call(method, *map(_json_or_text, params or ())),)

        with refusing(RemoteError):
            done = run_until_stopped(program)
        if done is None:
            raise Refused("stopped before the node's answer came")
        typer.echo(json.dumps(done[0]))


def _block_hash(text: str) -> bytes:
    from node.client.errors import BadAnswer
    from node.client.hexadecimal import to_bytes

    try:
        block_hash = to_bytes(text)
    except BadAnswer:
        block_hash = b""
    if len(block_hash) != HASH_BYTES:
        raise Refused(f"--at {text}: expected a block hash, {HASH_BYTES} bytes as 0x and hexadecimal digits")
    return block_hash


def _run(url: str, work: Callable[[RemoteChain], Awaitable[Result]]) -> Result:
    """Connects, works, and gives the result; raises ClientError, and Refused when the process is told to stop."""
    from node.cli.running import run_until_stopped
    from node.client.remote import open_remote

    async def program() -> tuple[Result]:
        async with open_remote(url) as chain:
            return (await work(chain),)

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


def _keys(metadata: ChainMetadata, item: str, kinds: list[int], texts: list[str]) -> tuple[Any, ...]:
    from node.client.values import from_json

    if len(texts) != len(kinds):
        raise Refused(f"{item} takes {len(kinds)} keys, {len(texts)} are given")
    named = enumerate(zip(kinds, texts, strict=True), 1)
    return tuple(from_json(metadata, kind, _json_or_text(text), f"key {number}") for number, (kind, text) in named)


def _print_receipt(metadata: ChainMetadata, receipt: Receipt, error: str | None, as_json: bool) -> None:
    from node.client.values import event_json

    place = {
        "extrinsic": f"0x{receipt.extrinsic_hash.hex()}",
        "block": f"0x{receipt.block_hash.hex()}",
        "number": receipt.block_number,
        "index": receipt.index,
    }
    events = [event_json(metadata, event) for event in receipt.events]
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
