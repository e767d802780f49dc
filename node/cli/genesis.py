"""`datdot genesis check|new`: chain files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import Refused, print_result, refusing
from runtime.genesis import ChainSpec, build_genesis
from runtime.genesis_fields import GenesisError

app = typer.Typer(help="Check and make chain files.", no_args_is_help=True)


def load_spec(path: Path) -> ChainSpec:
    """The chain file at a path; raises Refused with the place of a mistake and what was expected there."""
    from node.project import ProjectError, read_chain_file

    try:
        return read_chain_file(path)
    except ProjectError as error:
        raise Refused(str(error)) from None


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A chain file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a chain file whole and print its genesis hash."""
    with refusing():
        from node.runtime_source import RuntimeRefused, node_runtime

        spec = load_spec(path)
        try:
            genesis = build_genesis(node_runtime(spec), spec)
        except RuntimeRefused as error:
            raise Refused(str(error)) from None
        except GenesisError as error:
            raise Refused(f"{path}: {error}") from None
        hashes = {"genesis_hash": genesis.header.hash, "state_root": genesis.header.state_root}
        print_result({"name": spec.name, **{name: "0x" + value.hex() for name, value in hashes.items()}}, as_json)


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="The chain file to write; it must not exist.")],
    validators: Annotated[int, typer.Option(min=1, max=100, help="How many development validators.")] = 4,
    providers: Annotated[int, typer.Option(min=0, max=1_000, help="How many funded provider accounts.")] = 0,
    block_time: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds per block.")] = 6.0,
    name: Annotated[str, typer.Option(help="The chain's name.")] = "DatDot Local",
) -> None:
    """Write a chain file for development keys: //Alice, //Bob … as validators, //Provider//1 … as providers."""
    with refusing():
        from node.devnet.chain_file import development_spec

        spec = development_spec(validators, providers, block_time_seconds=block_time, name=name)
        try:
            with path.open("x") as file:
                json.dump(spec.to_json(), file, indent=2)
                file.write("\n")
        except FileExistsError:
            raise Refused(f"{path} exists already; choose another name") from None
        except OSError as error:
            raise Refused(f"cannot write {path}: {error.strerror}") from None
        typer.echo(f"{path}: {validators} validators, {providers} providers, a block every {block_time:g} s")
