"""Groups of options: a dataclass in a command's signature is one option for each of its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from node.cli.options import Announced, Sought, with_groups
from node.cli.output import Refused


@dataclass(frozen=True)
class Place:
    """Where."""

    name: Annotated[str, typer.Option("--name")]
    floor: Annotated[int, typer.Option("--floor", min=0)] = 1


def run(*arguments: str) -> Result:
    app = typer.Typer()

    @app.command()
    @with_groups
    def go(who: str, loud: bool = False, *, place: Place) -> None:
        """Goes."""
        typer.echo(f"{who} {loud} {place}")

    return CliRunner().invoke(app, arguments)


def test_fields_are_options_beside_the_command_s_own() -> None:
    assert run("Ann", "--name", "inn").stdout == "Ann False Place(name='inn', floor=1)\n"
    assert run("Ann", "--floor", "2", "--loud", "--name", "inn").stdout == "Ann True Place(name='inn', floor=2)\n"


@pytest.mark.parametrize(
    "arguments", [("Ann",), ("--name", "inn"), ("Ann", "--name", "inn", "--floor", "-1"), ("Ann", "--place", "inn")]
)
def test_options_of_a_group_are_checked_like_others(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("group", [Announced, Sought])
def test_a_bootstrap_node_goes_with_hyperswarm(group: type[Announced]) -> None:
    with pytest.raises(Refused, match="goes with --hyperswarm"):
        group(hyperswarm_bootstrap=["127.0.0.1:1"]).checked()


def test_named_peers_leave_the_local_network_alone() -> None:
    assert Sought().checked().lan
    assert not Sought().checked(named=True).lan
    assert not Sought(lan=False).checked().lan
