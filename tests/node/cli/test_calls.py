"""`datdot tx` and `datdot query` as a shell sees them, against a whole node behind a real port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from typer.testing import Result

from node.chain.author import AuthoringMode
from node.rpc.server import RpcServer, open_port
from runtime.crypto import ss58_encode
from tests.node.chain.conftest import ALICE, BOB
from tests.node.cli import shell
from tests.node.rpc.conftest import RpcNode

START_TIMEOUT_SECONDS = 30


class ServedNode:
    """A node that authors on each extrinsic, served from a thread of its own: the command brings its own event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
        self._thread.join(START_TIMEOUT_SECONDS)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        rpc = RpcNode(self._path)
        rpc.node.author._mode = AuthoringMode.INSTANT
        listeners = await open_port("127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            self._scope, self._token = nursery.cancel_scope, trio.lowlevel.current_trio_token()
            nursery.start_soon(rpc.node.author.run)
            nursery.start_soon(RpcServer(rpc.registry).serve, listeners)
            await rpc.author()
            self._ready.set()
        rpc.node.store.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    node = ServedNode(tmp_path_factory.mktemp("node") / "chain")
    node.start()
    yield node.url
    node.stop()


def datdot(url: str, *arguments: str) -> Result:
    return shell.datdot(*arguments, "--rpc", url)


def result(url: str, *arguments: str) -> Any:
    run = datdot(url, *arguments, "--json")
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def transfer(url: str, *options: str, dest: str = "//Nobody", value: str = "1000000", key: str = "//Alice") -> Result:
    call = ("tx", "Balances", "transfer_keep_alive", "--arg", f"dest={dest}", "--arg", f"value={value}")
    return datdot(url, *call, "--key", key, *options)


def test_a_transfer_is_sent_and_its_events_are_shown(url: str) -> None:
    sent = transfer(url, "--json", "--tip", "3", "--finalized", dest=ss58_encode(BOB.account_id))
    assert sent.exit_code == 0, sent.output
    receipt = json.loads(sent.stdout)
    assert receipt["error"] is None
    assert receipt["index"] == 1
    events = {event["name"]: event["data"] for event in receipt["events"]}
    sender, recipient = ss58_encode(ALICE.account_id), ss58_encode(BOB.account_id)
    assert events["Balances.Transfer"] == {"from": sender, "to": recipient, "amount": 1_000_000}
    assert events["TransactionPayment.TransactionFeePaid"]["tip"] == 3
    assert events["System.ExtrinsicSuccess"]["dispatch_info"]["class"] == "Normal"
    assert result(url, "query", "System", "Number")["value"] == receipt["number"]


def test_nonces_count_up_by_themselves(url: str) -> None:
    before = result(url, "query", "System", "Account", "//Alice")["value"]["nonce"]
    for _ in range(2):
        assert transfer(url).exit_code == 0
    assert result(url, "query", "system", "account", "//Alice")["value"]["nonce"] == before + 2


def test_a_failed_call_is_shown_with_its_reason_and_exit_status_1(url: str) -> None:
    remark = '{"pallet": "System", "call": "remark", "args": {"remark": "0x00"}}'
    failed = datdot(url, "tx", "Sudo", "sudo", "--arg", f"call={remark}", "--key", "//Bob", "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["error"] == "Sudo.RequireSudo: Sender must be the Sudo account."
    assert failed.stderr == (
        "datdot: the call failed, its fee is paid: Sudo.RequireSudo: Sender must be the Sudo account.\n"
    )
    too_much = transfer(url, value=str(10**30))
    assert "Token: Funds are unavailable." in too_much.stderr


def test_calls_inside_calls_are_written_as_objects(url: str) -> None:
    calls = [{"pallet": "System", "call": "remark", "args": {"remark": "0x01"}}] * 2
    sent = result(url, "tx", "Utility", "batch_all", "--arg", f"calls={json.dumps(calls)}", "--key", "//Alice")
    assert [event["name"] for event in sent["events"]].count("Utility.ItemCompleted") == 2


def test_text_output_names_place_and_events(url: str) -> None:
    shown = transfer(url)
    assert shown.exit_code == 0
    assert "block " in shown.stdout
    assert "Balances.Transfer  {" in shown.stdout


def test_absent_values_are_null_or_the_default(url: str) -> None:
    assert result(url, "query", "DatDot", "GetPlanByID", "7")["value"] is None
    assert result(url, "query", "System", "Account", "//Stranger")["value"]["nonce"] == 0
    assert datdot(url, "query", "DatDot", "GetPlanByID", "7").stdout == "null\n"


def test_a_map_without_keys_is_listed(url: str) -> None:
    listed = datdot(url, "query", "System", "Account", "--json", "--limit", "3")
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(lines) == 3
    assert all(len(line["keys"]) == 1 and line["value"]["providers"] == 1 for line in lines)
    everyone = datdot(url, "query", "System", "Account", "--json").stdout
    assert ss58_encode(ALICE.account_id) in everyone


def test_state_is_read_at_an_earlier_block(url: str) -> None:
    number = result(url, "query", "System", "Number")["value"]
    block = json.loads(transfer(url, "--json").stdout)["block"]
    assert result(url, "query", "System", "Number", "--at", block)["value"] == number + 1
    transfer(url)
    assert result(url, "query", "System", "Number", "--at", block)["value"] == number + 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("query", "Nope", "Number"), "there is no pallet Nope; there are System,"),
        (("query", "System", "Numbers"), "System stores no Numbers; it stores Account,"),
        (("query", "System", "Number", "1"), "Number takes 0 keys, 1 are given"),
        (("query", "DatDot", "Roles", "Hoster"), "Roles takes 2 keys, 1 are given"),
        (("query", "DatDot", "Roles", "Cook", "1"), "key 1: expected one of Encoder, Hoster, Attestor"),
        (("query", "System", "Account", "5Grw"), "key 1: expected an SS58 address"),
        (("query", "System", "Account", "0x12"), "key 1: expected 32 bytes"),
        (("query", "DatDot", "GetPlanByID", "many"), "key 1: expected a whole number"),
        (("query", "System", "Number", "--at", "0x00"), "expected a block hash, 32 bytes"),
        (("query", "System", "Number", "--at", "0x" + "11" * 32), "the node does not know block 0x1111"),
        (("tx", "Balances", "give", "--key", "//Alice"), "Balances has no call give; it has transfer_allow_death,"),
        (("tx", "Timestamp", "set", "--key", "//Alice", "--arg", "now=1"), "Transaction dispatch is mandatory"),
        (("tx", "System", "remark", "--key", "//Alice"), "remark is missing: System.remark(remark: Vec<u8>)"),
        (("tx", "System", "remark", "--key", "//Alice", "--arg", "remark"), "write it as name=value"),
        (("tx", "System", "remark", "--key", "//Alice", "--arg", "remark=dat"), "expected bytes as 0x"),
        (("tx", "System", "remark", "--key", "//Alice", "--arg", "remark=0x0"), "expected bytes as 0x"),
        (("tx", "System", "remark", "--key", "//Alice", "--arg", "remark=0x", "--arg", "b=1"), "has no b"),
        (("tx", "System", "remark", "--key", "//Alice", "--arg", "b=1", "--arg", "b=1"), "b is given twice"),
        (("tx", "System", "remark", "--key", "//Stranger", "--arg", "remark=0x"), "Inability to pay some fees"),
        (("tx", "System", "remark", "--key", "no such file", "--arg", "remark=0x"), "a secret never goes"),
        (("tx", "Sudo", "sudo", "--key", "//Alice", "--arg", "call=5"), 'expected {"pallet": …, "call": …'),
        (("rpc", "no_such"), "the node refused (-32601): Method not found"),
        (("rpc", "chain_getHeader", "0x12"), "the node refused (-32602): Invalid params: hash: a hash has 32 bytes"),
        (("rpc", "chain_getHeader", "{"), "the node refused (-32602)"),
        (("rpc", "dev_newBlock"), "RPC call is unsafe to be called externally"),
    ],
)
def test_refusals_are_one_sentence_and_exit_status_1(url: str, arguments: tuple[str, ...], part: str) -> None:
    refused = datdot(url, *arguments)
    assert refused.exit_code == 1, refused.output
    assert refused.stderr.startswith("datdot: ")
    assert part in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["-1", "1.5", "true", '"many"', "null", "[1]", str(2**128)])
def test_amounts_are_whole_numbers_in_range(url: str, value: str) -> None:
    refused = transfer(url, value=value)
    assert refused.exit_code == 1, refused.output
    assert "value" in refused.stderr


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("ws://127.0.0.1:1", "no node answers at ws://127.0.0.1:1"),
        ("http://127.0.0.1:1", "is not a ws:// or wss:// URL"),
        ("127.0.0.1", "is not a ws:// or wss:// URL"),
    ],
)
def test_a_node_that_cannot_be_reached_is_named(url: str, part: str) -> None:
    refused = datdot(url, "query", "System", "Number")
    assert refused.exit_code == 1
    assert part in refused.stderr


def test_any_method_is_called_from_a_shell(url: str) -> None:
    assert json.loads(datdot(url, "rpc", "system_chainType").stdout) == "Development"
    genesis = json.loads(datdot(url, "rpc", "chain_getBlockHash", "0").stdout)
    assert json.loads(datdot(url, "rpc", "chain_getHeader", genesis).stdout)["number"] == "0x0"
    assert json.loads(datdot(url, "rpc", "chain_getBlockHash", "[0, 99999999]").stdout) == [genesis, None]
