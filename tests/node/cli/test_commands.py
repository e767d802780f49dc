"""The command as a shell sees it: what it prints, and its exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from tests.node.cli import shell

PASSWORD = {"DATDOT_PASSWORD": "correct horse"}


def datdot(*arguments: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:
    return shell.datdot(*arguments, input=input, env=dict(env or {"DATDOT_PASSWORD": None}))


def test_help_names_every_command() -> None:
    shown = datdot("--help")
    assert shown.exit_code == 0
    for command in ("dev", "localnet", "node", "genesis", "key", "core", "drive"):
        assert command in shown.stdout


def test_a_new_key_file_shows_signs_and_recovers(tmp_path: Path) -> None:
    made = json.loads(datdot("key", "new", str(tmp_path / "a.json"), "--json", env=PASSWORD).stdout)
    shown = json.loads(datdot("key", "show", made["file"], "--json", env=PASSWORD).stdout)
    assert shown["address"] == made["address"]
    recovered = datdot(
        "key", "new", str(tmp_path / "b.json"), "--recover", "--json", input=made["phrase"] + "\n", env=PASSWORD
    )
    assert json.loads(recovered.stdout)["address"] == made["address"]
    assert made["phrase"] not in recovered.output
    signed = datdot("key", "sign", made["file"], "--json", input="hello", env=PASSWORD)
    assert len(json.loads(signed.stdout)["signature"]) == 2 + 128


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("key", "show", "/nowhere/key.json"), "there is no key file"),
        (("key", "show", "bottom drive obey lake"), "never goes on the command line"),
        (("key", "show", "//Alice", "--scheme", "rsa"), "sr25519 or ed25519"),
        (("genesis", "check", "/nowhere.json"), "cannot read the chain file"),
        (("core", "info", "/nowhere"), ""),
        (("core", "clone", "zz", "nohost", "--to", "/nowhere"), "is not HOST:PORT"),
        (("core", "clone", "zz", "--no-lan", "--to", "/nowhere"), "name who serves the core"),
        (("core", "serve", "/nowhere", "--hyperswarm-bootstrap", "127.0.0.1:1"), "goes with --hyperswarm"),
        (("dev", "--hyperswarm-bootstrap", "127.0.0.1:1"), "goes with --hyperswarm"),
        (("dev", "--share", "/nowhere.bin"), "does not exist"),
        (("dev", "--blocks", "sometimes"), "interval"),
        (("node", "--genesis", "x", "--validator"), "--validator and --key go together"),
    ],
)
def test_refusals_are_one_sentence_and_exit_status_1(arguments: tuple[str, ...], part: str) -> None:
    refused = datdot(*arguments)
    assert refused.exit_code == 1, refused.output
    assert refused.stderr.startswith("datdot: ")
    assert part in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.output


def test_wrong_usage_is_exit_status_2() -> None:
    assert datdot("dev", "--no-such-flag").exit_code == 2
    assert datdot("localnet", "--validators", "0").exit_code == 2


def test_a_chain_file_is_made_once_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    assert datdot("genesis", "new", str(path), "--validators", "2", "--providers", "3").exit_code == 0
    checked = datdot("genesis", "check", str(path), "--json")
    assert json.loads(checked.stdout)["genesis_hash"].startswith("0x")
    assert datdot("genesis", "new", str(path)).exit_code == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda file: file["genesis"]["Balances"]["balances"][3].__setitem__(1, "x"), "genesis.Balances.balances[3]"),
        (lambda file: file.pop("name"), "name"),
        (lambda file: file["genesis"]["Aura"]["authorities"].__setitem__(0, "5Grw"), "genesis.Aura.authorities[0]"),
        (lambda file: file["genesis"].__setitem__("Nonsense", {}), "genesis.Nonsense"),
        (lambda file: file.__setitem__("slot_duration_ms", 0), "slot_duration_ms"),
    ],
)
def test_a_mistake_in_a_chain_file_is_named_by_its_place(tmp_path: Path, change: object, place: str) -> None:
    path = tmp_path / "chain.json"
    datdot("genesis", "new", str(path))
    file = json.loads(path.read_text())
    change(file)  # type: ignore[operator]
    path.write_text(json.dumps(file))
    refused = datdot("genesis", "check", str(path))
    assert refused.exit_code == 1
    assert place in refused.stderr


def test_a_core_is_created_filled_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)) * 1000)
    directory = str(tmp_path / "core")
    assert datdot("core", "create", directory).exit_code == 0
    filled = json.loads(datdot("core", "append", directory, str(source), "--json").stdout)
    assert (filled["length"], filled["bytes"]) == (4, 256_000)
    assert datdot("core", "cat", directory).stdout_bytes == source.read_bytes()
    assert json.loads(datdot("core", "info", directory, "--json").stdout) == filled
    assert datdot("core", "create", directory).exit_code == 1
