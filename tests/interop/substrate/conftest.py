"""One `datdot dev` for all clients, and what each of them reported of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interop import node, python_clients
from tests.interop.substrate import descriptors
from tests.interop.substrate.scenario import FOLDER, Report, address, make_scenario, run_client

READY_TIMEOUT_SECONDS: Final = 180
STOP_TIMEOUT_SECONDS: Final = 20
BLOCK_SECONDS: Final = "0.5"
"""The scripts mostly wait for blocks."""
ENDOWMENT_PLANCK: Final = 10**15
CLIENTS: Final = ("asi", "dedot", "dedot_legacy", "papi", "papi_legacy", "papi_typed", "polkadot", "polkadot_17", "psi")
SCRIPTS: Final = {"dedot_legacy": "dedot", "papi_legacy": "papi", "papi_typed": "papi", "polkadot_17": "polkadot"}
"""Scripts of clients that have no script of their own name."""


@dataclass(frozen=True)
class DevNode:
    """A running `datdot dev`."""

    url: str

    def call(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC call over HTTP."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(
            self.url.replace("ws://", "http://"), body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["result"]

    def endow(self, uri: str) -> None:
        """Gives a development key enough for what a client's script does."""
        call = ("tx", "Balances", "transfer_keep_alive", "--arg", f"dest={address(uri)}", "--arg")
        command = [sys.executable, "-m", "node.cli", *call, f"value={ENDOWMENT_PLANCK}"]
        subprocess.run([*command, "--key", "//Bob", "--rpc", self.url], cwd=FOLDER.parents[2], check=True)


@pytest.fixture(scope="session")
def dev_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    """Starts `datdot dev`, waits until it is ready, ends it by SIGTERM at the end, and wants exit status 0."""
    folder = tmp_path_factory.mktemp("dev")
    command = [sys.executable, "-m", "node.cli", "dev", "--json", "--block-time", BLOCK_SECONDS]
    command += ["--rpc-port", "0", "--app-port", "0"]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*command, "--data", str(folder / "data")], cwd=FOLDER.parents[2], stdout=out, stderr=err
        )
    try:
        yield DevNode(_ready(process, folder)["rpc"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_TIMEOUT_SECONDS) == 0, (folder / "err").read_text()
    finally:
        process.kill()
        process.wait()


def _ready(process: subprocess.Popen[bytes], folder: Path) -> Any:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in (folder / "out").read_text().splitlines(keepends=True):
            if line.endswith("\n") and json.loads(line)["event"] == "ready":
                return json.loads(line)
        time.sleep(0.1)
    raise AssertionError(f"`datdot dev` was not ready (status {process.poll()}):\n{(folder / 'err').read_text()}")


@pytest.fixture(scope="session", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """The name of the client whose report is looked at."""
    return str(request.param)


@pytest.fixture(scope="session")
def report(client: str, dev_node: DevNode) -> Report:
    """The client's report; its script runs once."""
    genesis_hash = bytes.fromhex(dev_node.call("chain_getBlockHash", 0)[2:])
    scenario = make_scenario(client, dev_node.url, genesis_hash)
    if client == "papi_typed":
        scenario["descriptors"] = str(descriptors.generate(dev_node.url))
    dev_node.endow(scenario["user"])
    return run_client(client, _command(client), scenario)


def _command(client: str) -> list[str]:
    if client in python_clients.names():
        return [str(python_clients.install(client)), f"{client}.py"]
    node.install(node.FOLDER)
    return [str(node.find_node()), f"{SCRIPTS.get(client, client)}.mjs"]
