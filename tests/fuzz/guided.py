"""One target under atheris; started by `python -m tests.fuzz`, in a process of its own, as the fuzzer ends it."""

from __future__ import annotations

import logging

import atheris


def main(arguments: list[str]) -> None:
    """`arguments`: anything, the target, then options and folders of libFuzzer."""
    with atheris.instrument_imports(include=["hypercore"]):
        from tests.fuzz.targets import TARGETS
    logging.disable()
    target = TARGETS[arguments[1]]
    atheris.Setup([arguments[0], *arguments[2:]], target)
    atheris.Fuzz()
