"""Which runtime a chain file asks for: found, built, and bound to the digest of the source that it runs from.

A chain file names a *runtime factory* as `module:function`; without one it means DatDot's. The function has the
signature of `pallets.chain.runtime_for`. It is looked for where Python looks, and then in the folder in which the
command was started; a chain file can never name a path.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError
from runtime.version import source_digest

OURS: Final = "pallets.chain:runtime_for"
CONSENSUS_PACKAGES: Final = ("runtime", "pallets")
VERIFIER_MODULES: Final = (
    "crypto", "encoding", "errors", "flat_tree", "heads", "manifest", "merkle", "proof", "proof_parts", "prover",
    "verifier",
)  # fmt: skip
"""The modules of `hypercore` that the market's proof checks are made of; the rest of it may change freely."""

NEEDED_PALLETS: Final = ("System", "Timestamp", "Aura", "Randomness")
"""Pallets without which a node can make no block; `pallets.compose.core_pallets` brings them."""

MAX_SOURCE_FILES: Final = 2_000


class RuntimeRefused(Exception):
    """The runtime that a chain file names cannot be used: one sentence, and the Python error when there is one."""


class RuntimeFactory(Protocol):
    """Makes a runtime from a chain file; `source_digest` goes under `:code`. May raise GenesisError."""

    def __call__(self, spec: ChainSpec, *, source_digest: bytes) -> Runtime:
        """Return a runtime that has not been used yet."""
        ...


def node_runtime(spec: ChainSpec, *, digest: bytes | None = None, spec_version: int | None = None) -> Runtime:
    """The runtime of a chain file, bound to the source it runs from. Raises RuntimeRefused, GenesisError.

    `digest` and `spec_version` make it stand for another build: the one that a stored chain asks for.
    """
    reference = spec.runtime or OURS
    factory = find_factory(reference)
    chosen = consensus_source_digest(reference) if digest is None else digest
    try:
        runtime = factory(spec, source_digest=chosen)
    except GenesisError:
        raise
    except Exception as error:
        raise RuntimeRefused(f"{reference} cannot build the runtime\n{explained(error)}") from error
    if not isinstance(runtime, Runtime):
        raise RuntimeRefused(f"{reference} returned {type(runtime).__name__} and not a runtime.construct.Runtime")
    names = {pallet.name for pallet in runtime.pallets}
    if lacking := [name for name in NEEDED_PALLETS if name not in names]:
        missing = ", ".join(lacking)
        raise RuntimeRefused(f"{reference} lacks the pallets {missing}: pallets.compose.core_pallets makes them")
    if spec_version is not None:
        runtime.renumber(spec_version)
    return runtime


def find_factory(reference: str) -> RuntimeFactory:
    """The function that `module:function` names; imports its module. Raises RuntimeRefused."""
    module_name, _, function_name = reference.partition(":")
    look_here_too(module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise RuntimeRefused(f"{module_name} cannot be imported\n{explained(error)}") from error
        raise RuntimeRefused(
            f"there is no module {module_name}: run this in the folder of its project, or install the project"
        ) from None
    except Exception as error:
        raise RuntimeRefused(f"{module_name} cannot be imported\n{explained(error)}") from error
    factory = getattr(module, function_name, None)
    # What is called here is named by a data file: nothing but a function made for it may be.
    if not inspect.isfunction(factory) or "source_digest" not in inspect.signature(factory).parameters:
        raise RuntimeRefused(f"{reference} is no function with the parameters (spec, *, source_digest)")
    return factory


def look_here_too(module_name: str) -> None:
    """Let Python find a project in the current folder, after everything that is installed."""
    here = str(Path.cwd())
    top = module_name.partition(".")[0]
    if here not in sys.path and importlib.util.find_spec(top) is None:
        sys.path.append(here)
        importlib.invalidate_caches()


@cache
def our_source_files() -> tuple[tuple[str, Path], ...]:
    """Name and place of every file of ours that decides what a block does."""
    found = [entry for package in CONSENSUS_PACKAGES for entry in _files_of(package)]
    (hypercore,) = _places_of("hypercore")
    return (*found, *((f"hypercore/{module}.py", hypercore / f"{module}.py") for module in VERIFIER_MODULES))


def project_files(reference: str) -> tuple[tuple[str, Path], ...]:
    """Name and place of every source file of the package in which a runtime factory stands, if it is not ours.

    Whatever decides what a block does must be in that package. Raises RuntimeRefused for more than MAX_SOURCE_FILES.
    """
    top = reference.partition(":")[0].partition(".")[0]
    if top in CONSENSUS_PACKAGES:
        return ()
    look_here_too(top)
    files = tuple(_files_of(top))
    if len(files) > MAX_SOURCE_FILES:
        raise RuntimeRefused(f"the package {top} has more than {MAX_SOURCE_FILES} source files")
    return files


def consensus_source_digest(reference: str = OURS) -> bytes:
    """32 bytes over every source file that decides what a block does."""
    if reference == OURS:
        return _our_digest()
    return source_digest(_contents((*our_source_files(), *project_files(reference))))


@cache
def _our_digest() -> bytes:
    return source_digest(_contents(our_source_files()))


def _contents(files: tuple[tuple[str, Path], ...]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files}


def _places_of(package: str) -> list[Path]:
    """The folders of a package, or the file of a module that is none."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [] if spec.origin is None else [Path(spec.origin)]


def _files_of(package: str) -> Iterator[tuple[str, Path]]:
    for place in _places_of(package):
        if place.is_file():
            yield f"{package}.py", place
        for path in sorted(place.rglob("*.py")):
            yield f"{package}/{path.relative_to(place).as_posix()}", path


def explained(error: BaseException) -> str:
    """A Python error as Python shows it, from the first line that is not of the import machinery or of this module."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(own)] if own else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
