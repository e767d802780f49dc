"""The OpenRPC document describes every method, and every method keeps to its description."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.rpc import errors
from node.rpc.parameters import Hash, Hex, Number, Numbers, schema_for
from tests.node.rpc.conftest import RpcNode

OBJECT = {"neither": "text", "nor": "list"}


async def described(rpc: RpcNode) -> dict[str, Any]:
    document = await rpc.call("rpc_discover")
    return {method["name"]: method for method in document["methods"]}


async def test_the_document_names_every_method_once(rpc: RpcNode) -> None:
    document = await rpc.call("rpc_discover")
    assert [method["name"] for method in document["methods"]] == (await rpc.call("rpc_methods"))["methods"]
    assert document["openrpc"].startswith("1.")
    assert document["info"] == {"title": "DatDot node", "version": "1.2.3"}


async def test_every_method_is_explained(rpc: RpcNode) -> None:
    for name, method in (await described(rpc)).items():
        assert method["summary"].endswith("."), name
        assert method["description"].startswith(method["summary"]), name
        assert set(method["result"]) == {"name", "schema"}, name
        for parameter in method["params"]:
            assert set(parameter) == {"name", "required", "schema"}, name
            assert parameter["schema"], (name, parameter)


async def test_optional_parameters_come_after_the_required_ones(rpc: RpcNode) -> None:
    for name, method in (await described(rpc)).items():
        required = [parameter["required"] for parameter in method["params"]]
        assert required == sorted(required, reverse=True), name


async def test_newer_methods_have_the_parameter_names_of_their_specification(rpc: RpcNode) -> None:
    methods = await described(rpc)

    def names(method: str) -> list[str]:
        return [parameter["name"] for parameter in methods[method]["params"]]

    assert names("chainHead_v1_follow") == ["withRuntime"]
    assert names("chainHead_v1_storage") == ["followSubscription", "hash", "items", "childTrie"]
    assert names("chainHead_v1_call") == ["followSubscription", "hash", "function", "callParameters"]
    assert names("chainHead_v1_unpin") == ["followSubscription", "hashOrHashes"]
    assert names("archive_v1_storageDiff") == ["hash", "items", "previousHash"]
    assert names("transaction_v1_stop") == ["operationId"]


async def test_subscriptions_aliases_and_unsafe_methods_are_marked(rpc: RpcNode) -> None:
    methods = await described(rpc)
    follow = methods["chainHead_v1_follow"]
    assert (follow["x-notifies"], follow["tags"]) == ("chainHead_v1_followEvent", [{"name": "subscription"}])
    assert methods["state_getPairs"]["tags"] == [{"name": "unsafe"}]
    assert methods["chain_getHead"]["x-alias-of"] == "chain_getBlockHash"
    assert methods["chainHead_v1_unfollow"]["result"]["schema"] == {"type": "boolean"}
    assert "tags" not in methods["chain_getHeader"]


@pytest.mark.parametrize("spelling", ["start_key", "startKey"])
async def test_parameters_are_taken_by_both_spellings_of_their_name(rpc: RpcNode, spelling: str) -> None:
    keys = await rpc.call("state_getKeysPaged", "0x", 2)
    async with rpc.client() as client:
        params = {"prefix": "0x", "count": 1, spelling: keys[0]}
        message = {"jsonrpc": "2.0", "id": 1, "method": "state_getKeysPaged", "params": params}
        answer = await client.peer.handle(json.dumps(message).encode())
        assert json.loads(answer or b"null")["result"] == keys[1:]


async def test_missing_parameters_are_named(rpc: RpcNode) -> None:
    rpc.trusted = True
    async with rpc.client() as client:
        for name, method in (await described(rpc)).items():
            required = [parameter["name"] for parameter in method["params"] if parameter["required"]]
            if required:
                assert await client.code(name) == errors.INVALID_PARAMS, name


async def test_parameters_of_another_type_are_refused(rpc: RpcNode) -> None:
    rpc.trusted = True
    async with rpc.client() as client:
        for name, method in (await described(rpc)).items():
            for index, _ in enumerate(method["params"]):
                answer = await client.ask(name, *[None] * index, OBJECT)
                refused = answer.get("error", {}).get("code") == errors.INVALID_PARAMS
                assert refused or answer.get("result") is False, (name, index, answer)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Hex, "string"),
        (Hash, "string"),
        (Number, ["integer", "string"]),
        (Numbers, ["integer", "string", "array"]),
        (bool, "boolean"),
        (str, "string"),
        (list[Hex], "array"),
        (None, "null"),
    ],
)
def test_schemas_say_what_is_taken(annotation: Any, kind: Any) -> None:
    assert schema_for(annotation)["type"] == kind
    assert schema_for(Any) == {}
