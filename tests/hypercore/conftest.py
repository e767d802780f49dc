"""Shared material: golden vectors, block contents, and cores in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypercore import crypto
from hypercore.io.core import Core

VECTORS = Path(__file__).parent.parent / "vectors" / "hypercore"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Loads a vector file by name."""

    def load(name: str) -> Any:
        return json.loads((VECTORS / f"{name}.json").read_text())

    return load


@pytest.fixture(scope="session")
def key_pair() -> crypto.KeyPair:
    """The key pair of the vectors."""
    return crypto.KeyPair.from_seed(b"\x01" * 32)


@pytest.fixture(scope="session")
def content() -> Callable[[str, int], bytes]:
    """The content of block i of a kind, as the README of the vectors defines it."""

    def make(kind: str, index: int) -> bytes:
        if kind == "small":
            return f"block-{index}".encode()
        size = 65_536 if kind == "64k" else 37 * index % 101
        return bytes((31 * index + 7 * j + (j >> 8)) & 255 for j in range(size))

    return make


@pytest.fixture
def filled(key_pair: crypto.KeyPair, content: Callable[[str, int], bytes]) -> Callable[..., Core]:
    """A writable core in memory with so many blocks."""

    def make(length: int, kind: str = "small", **options: Any) -> Core:
        core = Core.create(None, key_pair=key_pair, **options)
        core.append([content(kind, index) for index in range(length)])
        return core

    return make
