"""A chain builder's path from an empty environment: the wheel, a new chain, an edit seen by polkadot.js, the how-to."""

from __future__ import annotations

import json
import re
import shlex
import time
import urllib.request
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.devnet.ports import free_ports
from tests.e2e.installed import build_wheel, clean_environment, install, names_in, run
from tests.e2e.processes import ROOT, Program
from tests.interop import node

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("node_packages")]

GUIDE = ROOT / "docs" / "how-to" / "build-a-chain.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
DATA_FILES = {
    "genesis/dev.json", "genesis/local.json", "node/app/status.html", "hypercore/__init__.pyi", "hypercore/py.typed",
}  # fmt: skip
NEW_ITEM = ("    added = StorageMap", '    last = StorageValue(U64, default=7, docs="New.")\n    added = StorageMap')
NEW_CALL = '''
    @call(weight=ADD_WEIGHT)
    def reset(self, origin: Origin) -> None:
        """Begin at zero again."""
        ensure_signed(origin)
        self.total.remove()
'''


@dataclass(frozen=True)
class Newcomer:
    """An environment with nothing but the wheel and pytest, and an empty folder."""

    wheel: Path
    binaries: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return clean_environment(self.binaries)

    def run(self, command: str, folder: Path) -> str:
        return run(shlex.split(command), folder, self.environment)

    def start(self, command: str, folder: Path) -> Program:
        program, *arguments = shlex.split(command)
        return Program([str(self.binaries / program), *arguments], folder, self.environment)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    folder = tmp_path_factory.mktemp("newcomer")
    wheel = build_wheel(folder)
    work = folder / "work"
    work.mkdir()
    return Newcomer(wheel, install(wheel, folder), work)


def test_the_wheel_has_everything_that_runs_and_nothing_that_tests(newcomer: Newcomer) -> None:
    names = names_in(newcomer.wheel)
    assert names >= DATA_FILES
    packaged = {"node", "pallets", "runtime", "hypercore", "genesis"}
    sources = {path.relative_to(ROOT).as_posix() for room in packaged for path in (ROOT / room).rglob("*.py")}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "node/scaffold/templates").iterdir()}
    assert {name for name in names if not name.startswith("datdot-")} == sources | templates | DATA_FILES
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == packaged


def test_a_newcomer_sees_a_new_item_and_call_in_polkadot_js_after_saving(newcomer: Newcomer) -> None:
    newcomer.run("datdot new chain demo", newcomer.folder)
    project = newcomer.folder / "demo"
    assert "2 passed" in newcomer.run("python -m pytest -q", project)
    with ExitStack() as stack:
        dev = stack.enter_context(closing(newcomer.start("datdot dev --watch --json --rpc-port 0", project)))
        ready = dev.event("chain_ready")
        dev.event("watching")
        wanted = {"url": ready["rpc"], "pallet": "counter", "item": "last", "call": "reset"}
        script = ROOT / "tests/interop/substrate/metadata.mjs"
        command = [str(node.require(script)), str(script), json.dumps(wanted)]
        client = stack.enter_context(closing(Program(command, ROOT)))
        before = client.event("connected")
        assert (before["items"], before["calls"]) == (["total", "added"], ["add"])
        newcomer.run(f"datdot tx Counter add --arg amount=5 --key //Alice --rpc {ready['rpc']}", project)
        pallet = project / "demo" / "counter.py"
        text = pallet.read_text()
        saved = time.time()
        pallet.write_text(text.replace(*NEW_ITEM) + NEW_CALL)
        seen = client.event("seen")
        reloaded = dev.event("reloaded")
        print(f"saved to seen by polkadot.js: {seen['time'] - saved:.3f} s, reloaded in {reloaded['milliseconds']} ms")
        assert seen["specVersion"] == before["specVersion"] + 1 == reloaded["spec_version"]
        assert (seen["items"], seen["calls"], seen["value"]) == (["total", "last", "added"], ["add", "reset"], "7")
        assert newcomer.run(f"datdot query Counter Total --rpc {ready['rpc']}", project).strip() == "5"
        newcomer.run(f"datdot tx Counter reset --key //Alice --rpc {ready['rpc']}", project)
        assert newcomer.run(f"datdot query Counter Total --rpc {ready['rpc']}", project).strip() == "0"
        pallet.write_text("def broken(:\n")
        assert "SyntaxError" in dev.event("reload_refused")["error"]
        assert dev.stop() == 0
        assert not dev.log, dev.tail()


def metadata_of(port: int) -> bytes:
    """The SCALE metadata of a node."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "state_getMetadata", "params": []}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes.fromhex(json.load(answer)["result"][2:])


def test_the_guide_is_followed_to_the_letter(newcomer: Newcomer) -> None:
    """Commands are run as they stand but for the port; a program that goes on stays until the end of the guide."""
    (port,) = free_ports(1)
    blocks = BLOCK.findall(GUIDE.read_text())
    assert [language for language, _ in blocks] == ["sh", "python", "sh", "sh", "sh", "python", "sh"]
    folder = newcomer.folder
    printed: list[str] = []
    with ExitStack() as stack:
        for language, text in blocks:
            if language == "python":
                path, _, content = text.partition("\n")
                (folder / path.removeprefix("# ")).write_text(content)
                continue
            for command in text.replace("9944", str(port)).splitlines():
                if command.startswith("cd "):
                    folder = folder / command.removeprefix("cd ")
                elif "--watch" in command:
                    program = stack.enter_context(closing(newcomer.start(f"{command} --json", folder)))
                    program.event("ready", 120)
                else:
                    printed.append(newcomer.run(command, folder))
        # A constant's type, its length, and the u32 10 instead of the usual 5.
        assert re.search(rb"ChallengeDelay.{1,2}\x10\x0a\x00\x00\x00", metadata_of(port), re.DOTALL)
    assert folder.name == "bazaar"
    assert "5" in [text.strip() for text in printed]
    assert "ADD = measured(" in (folder / "bazaar" / "weights" / "counter.py").read_text()
    assert any("read back from the hosters" in text for text in printed)
