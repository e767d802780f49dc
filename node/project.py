"""A chain builder's project: the folder whose pyproject.toml names a chain file under `[tool.datdot]`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError

PYPROJECT = "pyproject.toml"
MAX_PYPROJECT_BYTES = 1024 * 1024
MAX_CHAIN_FILE_BYTES = 64 * 1024 * 1024


class ProjectError(Exception):
    """The project or its chain file cannot be read: one sentence."""


@dataclass(frozen=True)
class Project:
    """A folder and the chain file in it."""

    folder: Path
    chain_file: Path

    def spec(self) -> ChainSpec:
        """The chain file, read. Raises ProjectError."""
        return read_chain_file(self.chain_file)


def project_here(folder: Path | None = None) -> Project | None:
    """The project of a folder, by default the current one; None if it is none. Raises ProjectError."""
    found = (folder or Path.cwd()) / PYPROJECT
    if not found.is_file():
        return None
    try:
        if found.stat().st_size > MAX_PYPROJECT_BYTES:
            raise ProjectError(f"{found} has more than {MAX_PYPROJECT_BYTES} bytes")
        tables = tomllib.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"cannot read {found}: {error}") from None
    ours = tables.get("tool", {}).get("datdot")
    if ours is None:
        return None
    name = ours.get("chain") if isinstance(ours, dict) else None
    if not isinstance(name, str) or not name:
        raise ProjectError(f'{found}: [tool.datdot] names the chain file, as in chain = "chain.json"')
    return Project(found.parent, found.parent / name)


def read_chain_file(path: Path) -> ChainSpec:
    """The chain file at a path; raises ProjectError with the place of a mistake and what was expected there."""
    try:
        if path.stat().st_size > MAX_CHAIN_FILE_BYTES:
            raise ProjectError(f"{path}: a chain file has at most {MAX_CHAIN_FILE_BYTES} bytes")
        return ChainSpec.parse(path.read_bytes())
    except OSError as error:
        raise ProjectError(f"cannot read the chain file {path}: {error.strerror}") from None
    except GenesisError as error:
        raise ProjectError(f"{path}: {error}") from None
