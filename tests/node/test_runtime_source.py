"""Which function a chain file may name as its runtime, and what the digest under `:code` covers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.opening import open_chain
from node.config import NodeConfig, StartRefused
from node.devnet.chain_file import development_spec
from node.runtime_source import (
    MAX_SOURCE_FILES,
    OURS,
    RuntimeRefused,
    consensus_source_digest,
    find_factory,
    node_runtime,
    project_files,
)
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError

SPEC = development_spec(1, 0, block_time_seconds=1.0, name="Test", chain_type="Development")
GOOD = """
from pallets.chain import runtime_for as ours
def runtime_for(spec, *, source_digest):
    return ours(spec, source_digest=source_digest)
def positional(spec):
    return ours(spec)
def number(spec, *, source_digest):
    return 5
def broken(spec, *, source_digest):
    return undefined
def few(spec, *, source_digest):
    from pallets.system import System, SystemConfig
    from pallets.compose import compose
    return compose("few", 1, (System(SystemConfig()),), source_digest)
class Callable:
    def __call__(self, spec, *, source_digest): ...
instance = Callable()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the package `strange_chain` as the current one."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    package = tmp_path / "strange_chain"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "chain.py").write_text(GOOD)
    (package / "typo.py").write_text("def runtime_for(:\n")
    (package / "lacking.py").write_text("import module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    yield package
    for module in [one for one in sys.modules if one.partition(".")[0] == "strange_chain"]:
        del sys.modules[module]


def test_without_a_name_the_runtime_is_ours() -> None:
    assert node_runtime(SPEC).source_digest == consensus_source_digest(OURS)
    assert node_runtime(SPEC).version.spec_name == "datdot"


def test_a_module_of_the_current_folder_makes_the_runtime(folder: Path) -> None:
    runtime = node_runtime(replace(SPEC, runtime="strange_chain.chain:runtime_for"))
    assert runtime.source_digest not in (bytes(32), consensus_source_digest(OURS))
    assert sys.path[-1] == str(folder.parent)  # nothing there comes before what is installed


def test_the_digest_covers_every_source_file_of_the_project(folder: Path) -> None:
    reference = "strange_chain.chain:runtime_for"
    seen = {consensus_source_digest(reference)}
    edits = (("chain.py", GOOD + "#"), ("other.py", ""), ("deeper/part.py", "x = 1\n"), ("deeper/part.py", ""))
    for name, text in edits:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        seen.add(consensus_source_digest(reference))
    (folder / "notes.txt").write_text("no source")
    seen.add(consensus_source_digest(reference))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("strange_chain.chain:positional", "no function with the parameters"),
        ("strange_chain.chain:instance", "no function with the parameters"),
        ("strange_chain.chain:nothing", "no function with the parameters"),
        ("os:abort", "no function with the parameters"),
        ("shutil:rmtree", "no function with the parameters"),
        ("strange_chain.chain:number", "returned int"),
        ("strange_chain.chain:few", "lacks the pallets Timestamp, Aura, Randomness"),
        ("strange_chain.chain:broken", "NameError: name 'undefined' is not defined"),
        ("strange_chain.typo:runtime_for", "SyntaxError"),
        ("strange_chain.lacking:runtime_for", "module_that_is_not_there"),
        ("strange_chain.missing:runtime_for", "no module strange_chain.missing"),
        ("missing_package.chain:runtime_for", "run this in the folder of its project"),
    ],
)
def test_what_makes_no_runtime_is_refused_with_its_reason(folder: Path, reference: str, sentence: str) -> None:
    with pytest.raises(RuntimeRefused) as refusal:
        node_runtime(replace(SPEC, runtime=reference))
    assert sentence in str(refusal.value)


def test_the_line_of_a_mistake_is_shown_and_not_the_machinery_around_it(folder: Path) -> None:
    with pytest.raises(RuntimeRefused) as refusal:
        node_runtime(replace(SPEC, runtime="strange_chain.chain:broken"))
    assert "return undefined" in str(refusal.value)
    assert "importlib" not in str(refusal.value)
    assert "runtime_source.py" not in str(refusal.value)


@pytest.mark.parametrize(
    "reference",
    ["", "chain", "chain:", ":runtime_for", "/etc/chain:x", "../chain:x", "a..b:x", "a.b:x.y", "a b:x", "a:x()", 5],
)
def test_a_chain_file_names_functions_never_paths(reference: object) -> None:
    value = {**SPEC.to_json(), "runtime": reference}
    with pytest.raises(GenesisError, match=r"file\.runtime"):
        ChainSpec.from_json(value)


def test_the_name_of_the_runtime_survives_the_chain_file() -> None:
    named = replace(SPEC, runtime="demo.chain:runtime_for")
    assert ChainSpec.from_json(named.to_json()) == named
    assert "runtime" not in SPEC.to_json()


def test_a_package_with_endless_files_is_refused(folder: Path) -> None:
    for number in range(MAX_SOURCE_FILES):
        (folder / f"m{number}.py").touch()
    with pytest.raises(RuntimeRefused, match=f"more than {MAX_SOURCE_FILES}"):
        project_files("strange_chain.chain:runtime_for")


def test_our_own_source_is_no_project() -> None:
    assert project_files(OURS) == ()
    assert find_factory(OURS) is not None


def test_a_node_refuses_to_start_with_a_runtime_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="no module missing_package"):
        open_chain(NodeConfig(replace(SPEC, runtime="missing_package.chain:runtime_for"), tmp_path))
