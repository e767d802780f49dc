"""The OpenRPC document of a port, made from its registry: names, parameters and documentation of every method.

Source: the OpenRPC specification 1.3.2. Beyond it, `x-notifies` names a subscription's notifications, and unsafe
methods carry the tag "unsafe".
"""

from typing import Any

from node.rpc.registry import Method, Parameter, Registry

OPENRPC_VERSION = "1.3.2"
SUBSCRIPTION_ID = {"name": "subscription", "required": True, "schema": {"type": "string"}}


def openrpc_document(registry: Registry, version: str) -> dict[str, Any]:
    """The document; `version` is that of the node's software."""
    described = {name: _method(name, found) for name, found in {**registry.methods, **registry.subscriptions}.items()}
    for found in registry.subscriptions.values():
        for name in found.declaration.unsubscribe:
            described[name] = _unsubscribe(name, found)
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": "DatDot node", "version": version},
        "methods": [described[name] for name in registry.names()],
    }


def _method(name: str, found: Method) -> dict[str, Any]:
    declaration = found.declaration
    document: dict[str, Any] = {
        "name": name,
        "summary": found.documentation.partition("\n")[0],
        "description": found.documentation,
        "paramStructure": "either",
        "params": [_parameter(parameter) for parameter in found.parameters],
        "result": {"name": "subscription" if declaration.notifies else "result", "schema": found.result},
    }
    tags = [tag for tag, given in (("unsafe", declaration.unsafe), ("subscription", declaration.notifies)) if given]
    if tags:
        document["tags"] = [{"name": tag} for tag in tags]
    if declaration.notifies:
        document["x-notifies"] = declaration.notifies
    if name != declaration.name:
        document["x-alias-of"] = declaration.name
    return document


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.camel_name, "required": not parameter.optional, "schema": parameter.schema}


def _unsubscribe(name: str, found: Method) -> dict[str, Any]:
    summary = f"End a subscription of {found.declaration.name}; false when there was none."
    return {
        "name": name,
        "summary": summary,
        "description": summary,
        "paramStructure": "either",
        "params": [SUBSCRIPTION_ID],
        "result": {"name": "result", "schema": {"type": "boolean"}},
    }
