"""Secrets that a node makes for itself once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.config import StartRefused
from node.kept_files import kept_seed, kept_token


@pytest.mark.parametrize(("keep", "length"), [(kept_seed, 32), (kept_token, 64)])
def test_a_secret_is_made_once_and_for_its_owner_only(
    tmp_path: Path, keep: Callable[[Path], bytes | str], length: int
) -> None:
    first = keep(tmp_path / "secret")
    assert len(first) == length
    assert keep(tmp_path / "secret") == first
    assert keep(tmp_path / "other") != first
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("keep", [kept_seed, kept_token])
@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 31])
def test_a_damaged_secret_is_named(tmp_path: Path, keep: Callable[[Path], bytes | str], content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(StartRefused, match="secret is damaged"):
        keep(tmp_path / "secret")
