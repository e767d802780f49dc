"""The Hyperswarm bridge is found, or what is missing is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node import hyperswarm
from node.hyperswarm import VARIABLE, BridgeMissing, bridge_command


def program(folder: Path, *, packages: bool = True) -> Path:
    path = folder / "bridge.mjs"
    path.write_text("")
    if packages:
        (folder / "node_modules" / "hyperswarm").mkdir(parents=True)
    return path


@pytest.fixture(autouse=True)
def some_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm, "_node_of_wheel", lambda: "/usr/bin/node")
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_program_that_the_variable_names_is_started_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path)))
    assert bridge_command() == (["/usr/bin/node", str(tmp_path / "bridge.mjs")], tmp_path)


def test_without_the_variable_it_is_the_one_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm, "FOLDER", tmp_path)
    program(tmp_path)
    assert bridge_command()[1] == tmp_path


def test_missing_packages_are_named_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path, packages=False)))
    with pytest.raises(BridgeMissing, match=f"run `npm install` in {tmp_path}"):
        bridge_command()


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm, "FOLDER", tmp_path)
    with pytest.raises(BridgeMissing, match=f"set {VARIABLE}"):
        bridge_command()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(BridgeMissing, match="is no file"):
        bridge_command()


def test_a_missing_node_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperswarm, "_node_of_wheel", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv(VARIABLE, str(program(tmp_path)))
    with pytest.raises(BridgeMissing, match=r"needs Node\.js 20"):
        bridge_command()
