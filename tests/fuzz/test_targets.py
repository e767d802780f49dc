"""A short, repeatable part of `make fuzz`: the corpus of each target and mutations of it, always the same."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from tests.fuzz.__main__ import ROOT
from tests.fuzz.targets import TARGETS, corpus, mutations

MUTATIONS = {"replication": 300, "proofs": 400, "stores": 400, "secret_stream": 400}
MUTATIONS_OF_DECODERS = 3000


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_corpus_and_mutations_of_it_break_nothing(name: str) -> None:
    logging.disable()
    inputs = corpus(name)
    executions = 0
    try:
        for data in [*inputs, *mutations(inputs, MUTATIONS.get(name, MUTATIONS_OF_DECODERS), seed=1)]:
            try:
                TARGETS[name](data)
            except Exception as error:
                raise AssertionError(f"{name} breaks on {data.hex()}") from error
            executions += 1
    finally:
        logging.disable(logging.NOTSET)
    print(f"{name}: {executions} executions, corpus of {len(inputs)} inputs, {sum(map(len, inputs))} bytes")
    assert executions > len(inputs) > 0


def test_the_program_prints_executions_and_refuses_targets_that_there_are_not() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "1"]
    good = subprocess.run([*command, "encoding"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert int(good.stdout.split("encoding")[1].split()[0]) > 100
    bad = subprocess.run([*command, "decoding"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (bad.returncode, "no such target: decoding" in bad.stderr) == (2, True)
