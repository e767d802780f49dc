"""`datdot bench pallets`: measures what calls take, and writes the weights that pallets declare."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import Json
from node.cli.output import Refused, print_result, refusing

app = typer.Typer(help="Measure the runtime.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Keeps `pallets` a sub-command while it is the only one."""


@app.command()
def pallets(
    scenarios: Annotated[
        list[str] | None,
        typer.Option("--scenarios", metavar="MODULE:FUNCTION", help="What measures other pallets; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write a module per pallet into this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Measure every call of the project's runtime, else of DatDot's: time, and storage keys read and written."""
    with refusing():
        from node.bench.measure import BenchmarkFailed
        from node.bench.run import NoScenarios, bench_pallets, scenarios_at, write_modules
        from node.project import ProjectError, project_here
        from node.runtime_source import RuntimeRefused

        if out is not None and not out.is_dir():
            raise Refused(f"--out: {out} is no folder")
        with refusing(BenchmarkFailed, NoScenarios, OSError, ProjectError, RuntimeRefused):
            project = project_here()
            more = [scenarios_at(one) for one in scenarios or ()]
            spec = None if project is None else project.spec()
            results = bench_pallets(spec, more, lambda what: typer.echo(f"measuring {what}", err=True))
            written = [] if out is None else write_modules(results, out)
        for pallet, costs in results.costs.items():
            for name, cost in sorted(costs.items()):
                line = {"time_ps": cost.time_ps, "reads": cost.reads, "writes": cost.writes}
                if as_json:
                    print_result({"pallet": pallet, "name": name, **line}, as_json)
                else:
                    text = f"{cost.time_ps / 1e6:>12,.3f} us {cost.reads:>4} reads {cost.writes:>4} writes"
                    typer.echo(f"{pallet + '.' + name:<50}{text}")
        for path in written:
            typer.echo(f"wrote {path}", err=True)
        if results.unmeasured:
            raise Refused(f"nothing measures {', '.join(results.unmeasured)}: name their scenarios with --scenarios")
