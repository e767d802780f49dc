"""What people and programs are told."""

import json

import pytest

from node.devnet.progress import JsonReporter, MarketBlock, TextReporter

AVAILABLE = {
    "key": "ab" * 32,
    "z32": "y" * 52,
    "length": 2,
    "bytes": 70_000,
    "sha256": "cd" * 32,
    "peers": [{"host": "127.0.0.1", "port": 4000}, {"host": "127.0.0.1", "port": 4001}],
}


def test_programs_get_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonReporter()
    reporter.event("node_started", name="alice", pid=1)
    reporter.block(MarketBlock(1, {}, 0, 0))
    reporter.event("available", **AVAILABLE)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"event": "node_started", "name": "alice", "pid": 1}, {"event": "available", **AVAILABLE}]


def test_people_read_sentences_and_how_to_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TextReporter()
    reporter.event("feed_published", feed=1, key="ab" * 32, length=2)
    reporter.event("plan_published", plan=3, contracts=1, escrow=2_500_000_000)
    for done in (1, 6):
        reporter.event("sealing", done=done, total=6)
    for hoster in (7, 9, 8):
        reporter.event("hosting_started", contract=4, hoster=hoster, amendment=5)
    for hoster in (7, 9):
        reporter.event("storage_proof_confirmed", challenge=6, hoster=hoster)
    reporter.event("paid", user=7, amount=5, role="hoster")
    reporter.block(MarketBlock(9, {"Hosted": 1}, 2, 5))
    reporter.event("available", **AVAILABLE)
    reporter.close()
    out = capsys.readouterr().out
    assert "1 contracts, 2.500 DAT in escrow" in out
    assert "contract 4: hosted by 7, 8, 9" in out
    assert out.count("storage proof confirmed") == 1
    assert "sealed: 6 chunks" in out
    assert f"datdot core clone {'ab' * 32} 127.0.0.1:4000 127.0.0.1:4001 --to copy" in out


def test_people_read_that_contracts_wait_for_providers(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TextReporter()
    reporter.event("waiting_for_providers", contracts=12)
    reporter.close()
    assert "no provider is free for 12 contracts" in capsys.readouterr().out


def test_a_contract_is_not_called_hosted_before_its_third_copy(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TextReporter()
    for hoster in (7, 9):
        reporter.event("hosting_started", contract=4, hoster=hoster, amendment=5)
    reporter.close()
    assert "hosted by" not in capsys.readouterr().out
