"""`datdot localnet`: one process per node, real ports between them, and this process as an observer and sponsor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog
import trio

from hypercore.crypto import KeyPair
from node.config import LOOPBACK, NodeConfig, StartRefused
from node.devnet.chain_file import (
    CHAIN_FILE,
    ChainFileMismatch,
    development_spec,
    open_chain_file,
    provider_uri,
    validator_uri,
)
from node.devnet.market import share_all, show_blocks, wait_for_users
from node.devnet.ports import free_ports, is_free
from node.devnet.progress import Reporter
from node.devnet.workplace import workplace
from node.keys.derivation import keypair_from_uri
from node.net.identity import peer_id_of
from node.node import open_node
from runtime.genesis import ChainSpec

log = structlog.get_logger("localnet")

STOP_SECONDS: Final = 15.0
EARLY_END_CHECK_SECONDS: Final = 0.5
PORTS_SECONDS: Final = 120.0
"""How long the nodes may take to open their JSON-RPC ports."""
LOOK_SECONDS: Final = 0.05
BOOTNODES: Final = 2
PORTS_FILE: Final = "ports.json"


@dataclass(frozen=True)
class LocalnetConfig:
    """What `datdot localnet` was asked for."""

    directory: Path | None
    validators: int
    providers: int
    block_time_seconds: float
    block_time_given: bool
    base_port: int | None
    shares: tuple[str, ...]
    timeout_seconds: float | None


@dataclass(frozen=True)
class NodePlan:
    """One process to start: its ports, and the arguments that start it again from any directory."""

    name: str
    role: Literal["validator", "provider"]
    p2p_port: int
    rpc_port: int
    argv: tuple[str, ...]

    @property
    def rpc_url(self) -> str:
        """Where WebSocket clients connect."""
        return f"ws://{LOOPBACK}:{self.rpc_port}"


async def run_localnet(config: LocalnetConfig, as_json: bool) -> bool:
    """Runs the network until stopped; with shares and a timeout, until all is available (True) or time is up."""
    with workplace(config.directory, "datdot-localnet-", as_json) as (directory, reporter):
        return await _run(config, directory, reporter)


async def _run(config: LocalnetConfig, directory: Path, reporter: Reporter) -> bool:
    spec = _chain_file(config, directory)
    plans = plan_nodes(config, directory)
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(_Processes())
        for plan in plans:
            pid = processes.start(plan, directory)
            reporter.event(
                "node_started",
                name=plan.name,
                role=plan.role,
                pid=pid,
                rpc=plan.rpc_url,
                p2p=f"/ip4/{LOOPBACK}/tcp/{plan.p2p_port}",
                argv=list(plan.argv),
            )
        observer = NodeConfig(spec, directory / "observer", bootnodes=bootnodes(plans))
        node = await stack.enter_async_context(open_node(observer))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(show_blocks, node.api, reporter)
        accounts = [keypair_from_uri(provider_uri(index)).account_id for index in range(config.providers)]
        async with trio.open_nursery() as waiting:
            waiting.start_soon(processes.refuse_early_ends, directory)
            await _wait_for_ports(plans, directory)
            if not await wait_for_users(node.api, accounts):
                raise StartRefused(f"the providers could not register in time; see the logs in {directory}")
            waiting.cancel_scope.cancel()
        reporter.event("ready", rpc=plans[0].rpc_url, app=plans[0].rpc_url.replace("ws:", "http:"), accounts={})
        done = await share_all(node, config.shares, config.timeout_seconds, reporter, stack)
        if not config.shares or config.timeout_seconds is None:
            await trio.sleep_forever()
        return done


async def _wait_for_ports(plans: Sequence[NodePlan], directory: Path) -> None:
    """Until clients can connect to every node; raises StartRefused for the first that takes too long."""
    with trio.move_on_after(PORTS_SECONDS) as scope:
        for plan in plans:
            while not await _accepts(plan.rpc_port):  # noqa: ASYNC110 - another process opens it
                await trio.sleep(LOOK_SECONDS)
    if scope.cancelled_caught:
        raise StartRefused(f"{plan.name} did not open port {plan.rpc_port} in {PORTS_SECONDS:g} s; see {directory}")


async def _accepts(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream(LOOPBACK, port)).aclose()
    except OSError:
        return False
    return True


def _chain_file(config: LocalnetConfig, directory: Path) -> ChainSpec:
    wanted = development_spec(
        config.validators, config.providers, block_time_seconds=config.block_time_seconds, name="DatDot Local"
    )
    try:
        return open_chain_file(directory, wanted, block_time_given=config.block_time_given)
    except ChainFileMismatch as error:
        raise StartRefused(str(error)) from None


def plan_nodes(config: LocalnetConfig, directory: Path) -> list[NodePlan]:
    """The processes of the network; a directory keeps its ports, so that `argv` of an earlier run stays true."""
    count = config.validators + config.providers
    ports = _ports(config, directory, 2 * count)
    plans: list[NodePlan] = []
    for index in range(count):
        is_validator = index < config.validators
        uri = validator_uri(index) if is_validator else provider_uri(index - config.validators)
        name = uri.strip("/").replace("//", "-").lower()
        p2p_port, rpc_port = ports[2 * index : 2 * index + 2]
        role = ["--validator", "--key", uri] if is_validator else ["--provider", "--account", uri]
        first_bootnodes = [option for address in bootnodes(plans) for option in ("--bootnode", address)]
        argv = (
            *(sys.executable, "-m", "node.cli", "node", "--genesis", str(directory / CHAIN_FILE), *role),
            *("--base-path", str(directory / name), "--port", str(p2p_port), "--rpc-port", str(rpc_port)),
            *first_bootnodes,
        )
        plans.append(NodePlan(name, "validator" if is_validator else "provider", p2p_port, rpc_port, argv))
    return plans


def bootnodes(plans: Sequence[NodePlan]) -> tuple[str, ...]:
    """Addresses of the first validators; their peer ids follow from their keys."""
    addresses = []
    for index, plan in enumerate(plans[:BOOTNODES]):
        if plan.role == "validator":
            seed = keypair_from_uri(validator_uri(index)).derived_seed("node")
            peer_id = peer_id_of(KeyPair.from_seed(seed).public_key)
            addresses.append(f"/ip4/{LOOPBACK}/tcp/{plan.p2p_port}/p2p/{peer_id}")
    return tuple(addresses)


def _ports(config: LocalnetConfig, directory: Path, count: int) -> list[int]:
    kept = directory / PORTS_FILE
    if config.base_port is not None:
        ports = list(range(config.base_port, config.base_port + count))
    elif kept.exists():
        ports = [int(port) for port in json.loads(kept.read_text())][:count]
    else:
        ports = free_ports(count)
    if len(ports) < count or not all(is_free(port) for port in ports):
        if config.base_port is not None:
            taken = next(port for port in ports if not is_free(port))
            raise StartRefused(f"port {taken} is in use: choose another --base-port")
        ports = free_ports(count)
    kept.write_text(json.dumps(ports))
    return ports


class _Processes:
    """The processes of the network. Leaving ends all of them: first politely, then by force, within 20 seconds."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._names: list[str] = []

    def __enter__(self) -> _Processes:
        return self

    def start(self, plan: NodePlan, directory: Path) -> int:
        """Starts a process with its log in `<directory>/<name>.log`; returns its id."""
        with (directory / f"{plan.name}.log").open("ab") as output:
            process = subprocess.Popen(
                plan.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is for us; we tell them
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._running.append(process)
        self._names.append(plan.name)
        return process.pid

    async def refuse_early_ends(self, directory: Path) -> None:
        """Raises StartRefused with the last line of its log when a process ends before the network is ready."""
        while True:
            for name, process in zip(self._names, self._running, strict=True):
                if process.poll() is not None:
                    lines = (directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
                    reason = lines[-1] if lines else f"exit status {process.returncode}"
                    raise StartRefused(f"the node {name} ended: {reason.removeprefix('datdot: ')}")
            await trio.sleep(EARLY_END_CHECK_SECONDS)

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("a node does not stop, ending it by force", pid=process.pid)
                process.kill()
                process.wait()
