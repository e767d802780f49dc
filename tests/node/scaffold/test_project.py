"""What `datdot new` writes: a project that works as it stands, and nothing over what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.main import app
from node.project import Project, ProjectError, project_here
from node.scaffold.names import NameRefused
from node.scaffold.project import FIRST_INDEX, TargetExists, new_chain, new_pallet
from tests.node.scaffold.conftest import ROOT, Invoke

FILES = {
    "pyproject.toml", "README.md", "chain.json", "demo_one/__init__.py", "demo_one/chain.py", "demo_one/counter.py",
    "tests/conftest.py", "tests/test_counter.py",
}  # fmt: skip


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_new_chain_is_a_project_whose_tests_and_style_pass(tmp_path: Path) -> None:
    written = new_chain(tmp_path, "demo_one")
    assert {file.relative_to(written.folder).as_posix() for file in written.files} == FILES
    style = ("check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "I", ".")  # whose module it is, is unknown
    for tool in (("-m", "pytest", "-q"), ("-m", "ruff", *style)):
        done = python(written.folder, *tool)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_chain_file_is_accepted_and_the_pallet_has_the_first_free_index(tmp_path: Path, invoke: Invoke) -> None:
    written = new_chain(tmp_path, "demo_two")
    done = python(written.folder, "-m", "node.cli", "genesis", "check", "chain.json")
    assert done.returncode == 0, done.stderr
    assert "Demo Two" in done.stdout
    assert (written.title, written.index) == ("Counter", FIRST_INDEX)


def test_a_pallet_is_added_to_the_project_at_the_next_index(project: Project) -> None:
    written = new_pallet(project, "notes")
    assert written.index == FIRST_INDEX + 1
    assert "class Notes(Pallet)" in written.files[0].read_text()
    package = written.files[0].parent
    text = (package / "chain.py").read_text()
    made = 'notes = Notes(configure("Notes", NotesConfig()), system=core.system)'
    text = text.replace("    configure.refuse", f"    {made}\n    configure.refuse")
    text = text.replace("*core, counter)", "*core, counter, notes)")
    text = text.replace("from pallets", f"from {package.name}.notes import Notes, NotesConfig\nfrom pallets", 1)
    (package / "chain.py").write_text(text)
    done = python(project.folder, "-m", "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_nothing_is_written_over_what_exists(tmp_path: Path, project: Project) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
        with pytest.raises(TargetExists, match="exists already"):
            new_chain(tmp_path, name)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TargetExists):
        new_chain(tmp_path, "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "empty").iterdir()) == []
    (project.folder / "tests" / "test_notes.py").write_text("mine")
    with pytest.raises(TargetExists, match="test_notes"):
        new_pallet(project, "notes")
    assert not (project.folder / project.folder.name / "notes.py").exists()


@pytest.mark.parametrize("name", ["counter", "balances", "dat_dot", "added", "core", "pallet", "Notes", "class"])
def test_a_pallet_name_that_clashes_is_refused(project: Project, name: str) -> None:
    before = sorted(project.folder.rglob("*"))
    with pytest.raises(NameRefused):
        new_pallet(project, name)
    assert sorted(project.folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["node", "json", "Demo", "counter", "import"])
def test_a_chain_name_that_clashes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NameRefused):
        new_chain(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    monkeypatch.chdir(tmp_path)
    status, out = invoke(app, "new", "chain", "demo_three")
    assert status == 0
    assert "cd demo_three\n  datdot dev --watch" in out
    status, out = invoke(app, "new", "chain", "demo_three")
    assert (status, "exists already" in out) == (1, True)
    status, out = invoke(app, "new", "pallet", "ledger")
    assert (status, (tmp_path / "ledger_chain" / "ledger_chain" / "ledger.py").is_file()) == (0, True)
    status, out = invoke(app, "new", "chain", "no-good")
    assert (status, "no_good would do" in out) == (1, True)
    status, out = invoke(app, "new", "chain", "demo_four", "--in", "missing")
    assert (status, "No such file" in out) == (1, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.datdot]\n", "names the chain file"),
        ("[tool.datdot]\nchain = 5\n", "names the chain file"),
        ("[tool]\ndatdot = 5\n", "names the chain file"),
        ("[tool.datdot\n", "cannot read"),
    ],
)
def test_a_project_file_with_a_mistake_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ProjectError, match=sentence):
        project_here(tmp_path)


def test_a_folder_without_the_table_is_no_project(tmp_path: Path) -> None:
    assert project_here(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert project_here(tmp_path) is None


def test_a_project_whose_chain_file_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.datdot]\nchain = "gone.json"\n')
    project = project_here(tmp_path)
    assert project is not None
    with pytest.raises(ProjectError, match=r"gone\.json"):
        project.spec()
