"""Edits of a project's pallet on a running chain: what is taken up, what is refused, what stays."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from node.chain.opening import open_chain
from node.config import NodeConfig, StartRefused
from node.devnet import watch
from node.devnet.upgrade import UpgradeRefused, bring_up_to_date
from node.devnet.watch import reload, watch_project
from node.keys.derivation import keypair_from_uri
from node.node import Node, open_node
from node.project import Project
from runtime.call import RuntimeCall
from runtime.header import RuntimeEnvironmentUpdated
from tests.node.scaffold.conftest import project

__all__ = ["project"]

ALICE = keypair_from_uri("//Alice")
ADD = RuntimeCall("Counter", "add", {"amount": 5})


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.bugs: list[Exception] = []

    def event(self, event: str, /, **values: Any) -> None:
        self.events.append((event, values))

    def block(self, block: object) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


class Running:
    """A node of a project's chain, made anew by `reload` after each edit."""

    def __init__(self, node: Node, project: Project, told: Told) -> None:
        self.node, self.told = node, told
        self.reference = project.spec().runtime or ""
        self.pallet = project.folder / project.folder.name / "counter.py"
        self.original = self.pallet.read_text()

    def write(self, *changes: tuple[str, str]) -> None:
        """The pallet as it was generated, with changes."""
        text = self.original
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.pallet.write_text(text)

    async def edit(self, *changes: tuple[str, str]) -> tuple[str, dict[str, Any]]:
        """Change the pallet, reload, and return the event that was told."""
        self.write(*changes)
        await reload(self.node, self.reference, self.told)
        return self.told.events[-1]


Start = Callable[[], Any]


@pytest.fixture
def start(project: Project, tmp_path: Path) -> Start:
    @asynccontextmanager
    async def running() -> AsyncIterator[Running]:
        told = Told()
        config = NodeConfig(
            project.spec(), tmp_path / "data", ALICE, blocks="instant", upgradable=True, on_runtime_bug=told.bugs.append
        )
        with trio.fail_after(60):
            async with open_node(config) as node:
                yield Running(node, project, told)

    return running


NEW_ITEM = ("    added = StorageMap", '    last = StorageValue(U64, default=7, docs="New.")\n    added = StorageMap')
NEW_CALL = (
    "    @call(weight=ADD_WEIGHT)\n",
    "    @call(weight=ADD_WEIGHT, index=1)\n    def reset(self, origin: Origin) -> None:\n"
    '        """Begin at zero."""\n'
    "        ensure_signed(origin)\n        self.total.remove()\n\n    @call(weight=ADD_WEIGHT, index=0)\n",
)


async def test_an_edit_is_an_upgrade_with_the_state_kept(start: Start) -> None:
    async with start() as running:
        api = running.node.api
        assert (await api.submit(ADD, ALICE)).error is None
        before = running.node.chain.runtime
        name, values = await running.edit(NEW_ITEM, NEW_CALL)
        assert (name, values["spec_version"]) == ("reloaded", 2)
        assert api.query("Counter", "Total") == 5
        assert api.query("Counter", "Last") == 7
        assert b"\x10Last" in running.node.chain.runtime.metadata_v14
        assert b"\x10Last" not in before.metadata_v14
        assert (await api.submit(RuntimeCall("Counter", "reset", {}), ALICE)).error is None
        assert api.query("Counter", "Total") == 0
        assert (await running.edit(NEW_ITEM))[1]["spec_version"] == 3


async def test_the_upgrade_is_an_ordinary_call_of_sudo(start: Start) -> None:
    async with start() as running:
        await running.edit(NEW_ITEM)
        chain = running.node.chain
        header = chain.best
        while RuntimeEnvironmentUpdated() not in header.digest:
            header = chain.store.required_header(header.parent_hash)
        body, old = chain.store.body(header.hash) or (), chain.runtime_of(header)
        call = old.extrinsic_codec.decode(body[1]).call
        assert (call.name, call.arguments["call"].name) == ("Sudo.sudo", "System.set_code")
        assert call.arguments["call"].arguments["code"] == chain.runtime.code
        assert "CodeUpdated" in [type(record.event).__name__ for record in running.node.api._records(header)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("class Counter(Pallet):", "class Counter(Pallet:"), "SyntaxError"),
        (("from runtime.pallet import Pallet", "from runtime.pallett import Pallet"), "ModuleNotFoundError"),
        (("total = StorageValue(U64", "total = StorageValue(U65"), "NameError"),
        (("amount: U32) -> None", "amount: set[int]) -> None"), "Counter.add(amount)"),
        (('name = "Counter"', 'name = "Balances"'), "two pallets have the same name"),
        (("index = 50", "index = 5"), "two pallets have the same index"),
    ],
)
async def test_source_that_makes_no_runtime_leaves_the_old_one_in_force(
    start: Start, change: tuple[str, str], sentence: str
) -> None:
    async with start() as running:
        before = running.node.chain.runtime
        name, values = await running.edit(change)
        assert name == "reload_refused"
        assert sentence in values["error"]
        assert running.node.chain.runtime is before
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        assert await running.edit() == ("unchanged", {})
        assert (await running.edit(NEW_ITEM))[0] == "reloaded"


@pytest.mark.parametrize(
    ("change", "item"),
    [
        (("total = StorageValue(U64", "total = StorageValue(U32"), "Counter.Total"),
        (("added = StorageMap(AccountId, U64", "added = StorageMap(AccountId, U32"), "Counter.Added"),
        (("added = StorageMap(AccountId, U64", "added = StorageMap(U64, U64"), "Counter.Added"),
    ],
)
async def test_types_that_cannot_read_what_is_stored_are_refused_by_name(
    start: Start, change: tuple[str, str], item: str
) -> None:
    async with start() as running:
        assert (await running.edit(change))[0] == "reloaded"  # nothing is stored yet
        assert (await running.edit())[0] == "reloaded"
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        name, values = await running.edit(change)
        assert name == "reload_refused"
        assert item in values["error"]
        assert "another storage name" in values["error"]
        assert running.node.api.query("Counter", "Total") == 5


@pytest.mark.parametrize(
    "change",
    [
        ("total = StorageValue(U64", "total = StorageValue(I64"),
        ("total = StorageValue(U64, default=0", "total = StorageValue(tuple[U32, U32], default=(0, 0)"),
    ],
)
async def test_values_that_are_read_as_another_type_are_told(start: Start, change: tuple[str, str]) -> None:
    types = ("import U32, U64, AccountId", "import I64, U32, U64, AccountId")
    async with start() as running:
        assert (await running.edit(types, change))[0] == "reloaded"  # nothing is stored yet
        assert (await running.edit())[0] == "reloaded"
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        assert await running.edit(types, change) == ("read_anew", {"items": "Counter.Total"})
        assert running.told.names == ["reloaded", "reloaded", "reloaded", "read_anew"]


async def test_the_events_of_the_last_block_hold_no_reload_up(start: Start) -> None:
    async with start() as running:
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        name, _ = await running.edit(("    amount: U32\n    total: U64", "    total: U32"), ("who, amount, ", "who, "))
        assert name == "reloaded"
        receipt = await running.node.api.submit(ADD, ALICE)
        assert [type(event).__name__ for event in receipt.events if hasattr(event, "total")] == ["Added"]


async def test_a_hook_that_fails_is_told_and_an_edit_heals_the_chain(start: Start) -> None:
    failing = "    def on_finalize(self, number: int) -> None:\n        raise KeyError\n\n"
    hook = ("    @call(weight", f"{failing}    @call(weight")
    async with start() as running:
        assert (await running.edit(hook))[0] == "reloaded"
        assert await running.node.author.author_block() is None
        assert isinstance(running.told.bugs[0], KeyError)
        assert (await running.edit())[0] == "reloaded"
        assert await running.node.author.author_block() is not None


async def test_a_directory_goes_on_with_the_source_of_today(start: Start) -> None:
    async with start() as running:
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        await running.edit(NEW_ITEM)
        version = running.node.chain.runtime.version.spec_version
    async with start() as running:
        assert await bring_up_to_date(running.node) is False
        assert running.node.chain.runtime.version.spec_version == version == 2
        assert (await running.node.api.submit(ADD, ALICE)).error is None
        running.write(NEW_CALL)
    async with start() as running:
        with watch.fresh_modules(running.reference.partition(".")[0]):
            assert await bring_up_to_date(running.node) is True
        assert running.node.chain.runtime.version.spec_version == 3
        assert running.node.api.query("Counter", "Total") == 10


async def test_a_chain_that_was_upgraded_is_served_by_any_node_of_its_source(
    start: Start, project: Project, tmp_path: Path
) -> None:
    async with start() as running:
        await running.edit(NEW_ITEM)
        genesis = running.node.chain.store.genesis_hash
    plain = NodeConfig(project.spec(), tmp_path / "data", ALICE, blocks="instant")
    async with open_node(plain) as node:
        assert node.chain.store.genesis_hash == genesis
        assert node.chain.runtime.version.spec_version == 2
        assert (await node.api.submit(ADD, ALICE)).error is None
        assert node.api.query("Counter", "Last") == 7


async def test_an_upgraded_chain_is_not_taken_for_another_one(start: Start, project: Project, tmp_path: Path) -> None:
    spec = project.spec()
    async with start() as running:
        await running.edit(NEW_ITEM)
    renamed = replace(spec, name="Another name", bootnodes=("/ip4/127.0.0.1/tcp/1",))
    open_chain(NodeConfig(renamed, tmp_path / "data"))[0].close()
    balances = {**spec.genesis, "Balances": {"balances": spec.genesis["Balances"]["balances"][1:]}}
    slower = replace(spec, slot_duration_ms=spec.slot_duration_ms * 2)
    for other in (replace(spec, genesis=balances), slower, replace(spec, runtime=None)):
        with pytest.raises(StartRefused, match=r"another chain .* begun from, which is .*data/chain/genesis\.json"):
            open_chain(NodeConfig(other, tmp_path / "data"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")], ids=["lost", "damaged"])
async def test_without_the_file_it_was_begun_from_only_an_upgraded_chain_is_unknown(
    start: Start, project: Project, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    plain = NodeConfig(project.spec(), tmp_path / "data")
    async with start():
        pass
    damage(tmp_path / "data" / "chain" / "genesis.json")
    open_chain(plain)[0].close()
    async with start() as running:
        await running.edit(NEW_ITEM)
    with pytest.raises(StartRefused, match="holds another chain"):
        open_chain(plain)


async def test_only_the_sudo_key_upgrades(start: Start) -> None:
    async with start() as running:
        call = RuntimeCall("Sudo", "remove_key", {})
        assert (await running.node.api.submit(call, ALICE)).error is None
        name, values = await running.edit(NEW_ITEM)
        assert name == "reload_refused"
        assert "only the sudo key" in values["error"]


async def test_what_fails_while_modules_are_loaded_brings_the_old_ones_back(start: Start) -> None:
    async with start() as running:
        top = running.reference.partition(".")[0]
        before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == top}
        with pytest.raises(UpgradeRefused), watch.fresh_modules(top):
            raise UpgradeRefused("no")
        assert {name: sys.modules[name] for name in before} == before


async def test_saving_a_file_is_noticed_without_being_told(start: Start) -> None:
    async with start() as running:
        heard = trio.Event()

        def tell(event: str, /, **values: Any) -> None:
            running.told.events.append((event, values))
            heard.set()

        running.told.event = tell
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_project, running.node, running.reference, running.told)
            await trio.testing.wait_all_tasks_blocked(0.01)
            running.write(NEW_ITEM)
            await heard.wait()
            nursery.cancel_scope.cancel()
        assert running.told.names == ["reloaded"]


def test_a_file_that_an_editor_is_replacing_does_not_disturb(project: Project) -> None:
    reference = project.spec().runtime or ""
    before = watch.stamps(reference)
    assert {path.name for path in before} == {"__init__.py", "chain.py", "counter.py"}
    (project.folder / project.folder.name / "gone.py").symlink_to(project.folder / "nowhere.py")
    assert watch.stamps(reference) == before
