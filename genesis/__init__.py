"""Chain files of the package: `dev` (one authority, 1 s slots) and `local` (four authorities, 6 s slots)."""

from importlib import resources

NAMES = ("dev", "local")


def chain_file(name: str) -> str:
    """Return the JSON text of a chain file of the package; raises KeyError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise KeyError(f"no chain file {name!r}, there are: {', '.join(NAMES)}")
    return resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
