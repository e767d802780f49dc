"""`datdot localnet` under test: its processes by name, each with a view of the chain of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.chain import Chain
from tests.e2e.processes import STOP_SECONDS, Line, Program, datdot, kill_process, running, wait_until_dead

READY_SECONDS = 90.0


@dataclass
class Localnet:
    """The program, its nodes by name, and those that were started again."""

    program: Program
    directory: Path
    nodes: dict[str, Line]
    again: ExitStack
    pidfds: list[int] = field(default_factory=list)

    def chain(self, name: str) -> Chain:
        """The chain as one node sees it."""
        return Chain.of_directory(self.nodes[name]["rpc"], self.directory)

    def kill(self, name: str) -> None:
        """SIGKILL to a node."""
        kill_process(self.nodes[name]["pid"])

    def start_again(self, name: str) -> Program:
        """Starts a killed node with the `argv` that the localnet told, from another directory."""
        node = self.again.enter_context(running(self.nodes[name]["argv"], Path("/")))
        node.logged("node started")
        return node


@contextmanager
def localnet(directory: Path, *options: object) -> Iterator[Localnet]:
    """A localnet that is ready. Its end is part of every test: SIGTERM, and all of its processes are gone in time."""
    with ExitStack() as stack, datdot("localnet", "--dir", directory, "--json", *options) as program:
        program.event("ready", READY_SECONDS)
        nodes = {line["name"]: line for line in program.events("node_started")}
        net = Localnet(program, directory, nodes, stack.enter_context(ExitStack()))
        for line in nodes.values():
            net.pidfds.append(os.pidfd_open(line["pid"]))
            stack.callback(os.close, net.pidfds[-1])
        try:
            yield net
            assert program.is_running, program.tail()
            assert program.stop() == 0
            assert all(wait_until_dead(descriptor, 0) for descriptor in net.pidfds), "localnet left processes behind"
        finally:
            for descriptor in net.pidfds:
                if not wait_until_dead(descriptor, STOP_SECONDS if not program.is_running else 0):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def check_agreement(chains: list[Chain], number: int) -> None:
    """All nodes have the same block, and the same state after it, at a height."""
    headers = [chain.header_at(number) for chain in chains]
    assert len({chain.hash_at(number) for chain in chains}) == 1, f"hashes differ at block {number}"
    assert len({header["stateRoot"] for header in headers}) == 1
