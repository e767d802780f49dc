"""The digest of the runtime's source: nodes whose digests differ would execute blocks differently."""

import importlib.resources
from functools import cache
from importlib.resources.abc import Traversable

from pallets.chain import runtime_for
from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.version import source_digest

CONSENSUS_PACKAGES = ("runtime", "pallets")
VERIFIER_MODULES = (
    "crypto", "encoding", "errors", "flat_tree", "heads", "manifest", "merkle", "proof", "proof_parts", "prover",
    "verifier",
)  # fmt: skip
"""The modules of `hypercore` that the market's proof checks are made of; the rest of it may change freely."""


@cache
def consensus_source_digest() -> bytes:
    """32 bytes over every source file that decides what a block does."""
    files: dict[str, bytes] = {}
    for package in CONSENSUS_PACKAGES:
        _collect(importlib.resources.files(package), package, files)
    hypercore = importlib.resources.files("hypercore")
    for module in VERIFIER_MODULES:
        files[f"hypercore/{module}.py"] = hypercore.joinpath(f"{module}.py").read_bytes()
    return source_digest(files)


def node_runtime(spec: ChainSpec) -> Runtime:
    """The runtime of a chain file, bound to the source it runs from."""
    return runtime_for(spec, source_digest=consensus_source_digest())


def _collect(folder: Traversable, name: str, files: dict[str, bytes]) -> None:
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            _collect(entry, path, files)
        elif entry.name.endswith(".py"):
            files[path] = entry.read_bytes()
