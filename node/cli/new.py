"""`datdot new chain|pallet`: a chain builder's first files."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import Json
from node.cli.output import print_result, refusing

app = typer.Typer(help="Begin a chain of your own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A Python module's name: small letters, digits, underscores.")]


@app.command()
def chain(
    name: Name,
    folder: Annotated[Path, typer.Option("--in", help="The folder in which the project's folder is made.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a chain with one pallet of its own, tests and a development chain file into the new folder NAME."""
    with refusing():
        from node.scaffold.names import NameRefused
        from node.scaffold.project import TargetExists, new_chain

        with refusing(NameRefused, TargetExists, OSError):
            written = new_chain(folder, name)
        if as_json:
            print_result({"folder": str(written.folder), "files": [str(file) for file in written.files]}, as_json)
            return
        _list(written.files)
        typer.echo(f"\nNext:\n  cd {written.folder}\n  datdot dev --watch")
        typer.echo(f"Then change {name}/counter.py: the running chain takes it up when you save.")


@app.command()
def pallet(name: Name, as_json: Json = False) -> None:
    """Write a pallet and its test: into the project in whose folder this is, else with a chain into a new folder."""
    with refusing():
        from node.project import ProjectError, project_here
        from node.runtime_source import RuntimeRefused
        from node.scaffold.names import NameRefused
        from node.scaffold.project import TargetExists, new_chain, new_pallet
        from runtime.genesis_fields import GenesisError

        with refusing(NameRefused, TargetExists, OSError, ProjectError, RuntimeRefused, GenesisError):
            project = project_here()
            if project is None:
                written = new_chain(Path(), f"{name}_chain", name)
            else:
                written = new_pallet(project, name)
        title = written.title
        if as_json:
            print_result({"folder": str(written.folder), "files": [str(file) for file in written.files]}, as_json)
            return
        _list(written.files)
        if project is None:
            typer.echo(f"\nNext:\n  cd {written.folder}\n  datdot dev --watch")
            return
        package = written.files[0].parent.name
        typer.echo(f"\nNext, in {package}/chain.py:")
        typer.echo(f"  from {package}.{name} import {title}, {title}Config")
        typer.echo(f'  {name} = {title}(configure("{title}", {title}Config()), system=core.system)')
        typer.echo(f"and add `{name}` to the pallets that are composed.")


def _list(files: tuple[Path, ...]) -> None:
    for file in files:
        typer.echo(f"wrote {file}")
