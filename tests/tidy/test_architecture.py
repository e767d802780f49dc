"""The walls of the house: import arrows point down only, and pure rooms have no door to the outside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.runtime_source import VERIFIER_MODULES

ROOT = Path(__file__).parents[2]
ROOMS = ("node", "pallets", "runtime", "hypercore")

MAY_IMPORT = {
    "hypercore": {"hypercore"},
    "runtime": {"runtime"},
    "pallets": {"pallets", "runtime"},
    "node": {"node", "pallets", "runtime", "hypercore", "genesis"},
}
# The market's pallet may use the frozen, pure proof verifier of hypercore and nothing else of it.
PALLETS_MAY_IMPORT_FROM_HYPERCORE = {"proof", "merkle", "manifest", "crypto", "errors", "encoding", "flat_tree"}

PURE_FOLDERS = ("runtime", "pallets", "hypercore", "node/consensus", "node/txpool", "node/sync")
IMPURE_FOLDERS = ("hypercore/io",)
IMPURE_MODULES = {
    "asyncio", "concurrent", "datetime", "fcntl", "io", "lmdb", "mmap", "multiprocessing", "os", "pathlib", "random",
    "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "trio",
    "uuid", "urllib", "http",
}  # fmt: skip
IMPURE_CALLS = {"open", "input", "print", "exec", "eval", "id", "hash"}
CONSENSUS_FOLDERS = ("runtime", "pallets")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that the file imports, anywhere in it, with its line number."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the arrows"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def pure_files() -> list[Path]:
    impure = [ROOT / folder for folder in IMPURE_FOLDERS]
    return [path for path in python_files(*PURE_FOLDERS) if not any(path.is_relative_to(room) for room in impure)]


def test_the_rooms_exist() -> None:
    for room in ROOMS:
        assert (ROOT / room / "__init__.py").is_file(), room


@pytest.mark.parametrize("room", ROOMS)
def test_import_arrows_point_down_only(room: str) -> None:
    wrong = []
    for path in python_files(room):
        for line, module in imports_of(path):
            parts = module.split(".")
            if parts[0] not in MAY_IMPORT:
                continue
            if parts[0] == "hypercore" and path.is_relative_to(ROOT / "pallets" / "datdot"):
                if parts[1] not in PALLETS_MAY_IMPORT_FROM_HYPERCORE:
                    wrong.append(f"{path.relative_to(ROOT)}:{line}: {module}")
            elif parts[0] not in MAY_IMPORT[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {module}")
    assert not wrong, "\n".join(wrong)


def test_hypercore_stands_alone() -> None:
    own = set(ROOMS) | {"genesis"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in python_files("hypercore")
        for line, module in imports_of(path)
        if module.split(".")[0] in own - {"hypercore"}
    ]
    assert not found, "\n".join(found)


def test_the_runtime_digest_covers_every_module_that_pallets_reach() -> None:
    reached: set[str] = set()
    waiting = [module for path in python_files("pallets") for _, module in imports_of(path)]
    while waiting:
        name = waiting.pop().split(".")
        if name[0] == "hypercore" and len(name) > 1 and name[1] not in reached:
            reached.add(name[1])
            waiting += [module for _, module in imports_of(ROOT / "hypercore" / f"{name[1]}.py")]
    assert reached == set(VERIFIER_MODULES)


def test_pure_rooms_import_nothing_that_touches_the_world() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in pure_files()
        for line, module in imports_of(path)
        if module.split(".")[0] in IMPURE_MODULES or module.startswith("hypercore.io")
    ]
    assert not found, "\n".join(found)


def without_hash_methods(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside `__hash__`, the one place where calling `hash` cannot reach a block's content."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.FunctionDef) and node.name == "__hash__"):
            yield node
            yield from without_hash_methods(node)


def test_pure_rooms_call_nothing_that_touches_the_world() -> None:
    found = []
    for path in pure_files():
        for node in without_hash_methods(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}()")
    assert not found, "\n".join(found)


def test_no_floats_in_consensus_paths() -> None:
    found = []
    for path in python_files(*CONSENSUS_FOLDERS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}")
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: true division")
            if isinstance(node, ast.Name) and node.id == "float":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: float")
    assert not found, "\n".join(found)


def iterates_over_a_set(node: ast.AST) -> bool:
    iterables: list[ast.expr] = []
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        iterables.append(node.iter)
    return any(
        isinstance(item, ast.Set | ast.SetComp)
        or (isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id in {"set", "frozenset"})
        for item in iterables
    )


def test_consensus_paths_never_iterate_over_a_set_expression() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}"
        for path in python_files(*CONSENSUS_FOLDERS)
        for node in ast.walk(ast.parse(path.read_text()))
        if iterates_over_a_set(node)
    ]
    assert not found, "\n".join(found)


def test_modules_are_one_idea() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in python_files(*ROOMS)
        if (count := len(path.read_text().splitlines())) > 400
    ]
    assert not long, "\n".join(long)
