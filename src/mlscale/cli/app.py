"""The command line: what can be asked. Each command's work is imported only when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import mlscale
from mlscale.cli.app_facts import catalog, workloads
from mlscale.cli.app_probe import probe
from mlscale.cli.parameters import Format, NoColor, OutputPath, Quiet, listed

app = typer.Typer(
    name="mlscale",
    help="Watches a live training job, unchanged, and says which scaling step is next, with evidence and the speed-up "
    "that it promises; or plans one over EC2 types and file systems, with hours and dollars.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command() -> Any:
    """The parser behind `app`."""
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlscale {mlscale.__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    # Everything from the job's command on is the job's, with or without "--" before it.
    context_settings={"allow_interspersed_args": False},
    epilog="Examples: mlscale diagnose | mlscale diagnose --pid 4711 -o report.json | "
    "mlscale diagnose -- python train.py",
)
def diagnose(
    job: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="After --: launch this job, watch it, and end it.", show_default=False),
    ] = None,
    pid: Annotated[int | None, typer.Option("--pid", "-p", metavar="PID", help="Watch this process.")] = None,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Let the launched job go on when the watch ends.")
    ] = False,
    duration: Annotated[
        str, typer.Option("--duration", metavar="TIME", help="Watch so much steady training: 30s, 1m, 500ms.")
    ] = "30s",
    rate: Annotated[float, typer.Option("--rate", metavar="HZ", help="Looks a second.")] = 20.0,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Keep the raw samples for --replay.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="FILE", help="Diagnose from a recording, on any machine.")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", metavar="NAME", help="Exit 1 on this bottleneck (repeat it, or a,b), for CI."),
    ] = None,
    format: Format = None,
    output: OutputPath = None,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Watch a training job and say which rung of the ladder is next.

    With no argument it finds the job by itself; with --pid it attaches; with -- COMMAND it launches the job. The job's
    code is never changed. The report goes to stdout, progress to stderr.
    """
    from mlscale.cli.diagnose import Request, run
    from mlscale.cli.output import choose

    return run(
        Request(
            command=tuple(job or ()),
            pid=pid,
            keep_running=keep_running,
            duration=duration,
            rate_hz=rate,
            record=record,
            replay=replay,
            fail_on=tuple(fail_on or ()),
            output=choose(format, output, no_color=no_color),
            quiet=quiet,
        )
    )


@app.command()
def doctor(format: Format = None, output: OutputPath = None, no_color: NoColor = False) -> int:
    """Say what this machine lets mlscale see.

    Each thing that `mlscale diagnose` reads is tried for real; what is shut comes with the way to open it.
    """
    from mlscale.cli.doctor import run
    from mlscale.cli.output import choose

    return run(choose(format, output, no_color=no_color))


@app.command()
def explain(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A rung of the ladder, or a rule.", show_default=False)
    ] = None,
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """Say what a rung or rule checks, and why.

    With its thresholds, its advice, and its source in the white paper. Without a name: list all of them.
    """
    from mlscale.cli.explain import run
    from mlscale.cli.output import choose

    return run(name, choose(format, output, no_color=no_color))


@app.command(
    epilog="Example: mlscale recommend --workload resnet50-imagenet --epochs 90 --deadline 24h --budget 300 "
    "--region us-east-1",
)
def recommend(
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload", "-w", metavar="NAME", help="A profile (see `mlscale workloads list`) or a YAML file."
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="From a diagnosis (JSON or recording); or probes of step and loader (repeat it).",
        ),
    ] = None,
    deadline: Annotated[str | None, typer.Option("--deadline", metavar="TIME", help="6h, 90m, 2d.")] = None,
    budget: Annotated[float | None, typer.Option("--budget", metavar="USD", help="For the whole run.")] = None,
    samples_per_second: Annotated[
        float | None, typer.Option("--samples-per-second", metavar="N", help="The rate that is wanted.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="Repeat it, or `all`. [default: us-east-1]")
    ] = None,
    families: Annotated[
        list[str] | None, typer.Option("--families", metavar="A,B", help="Only these EC2 families: p5,g6e.")
    ] = None,
    purchase: Annotated[str, typer.Option("--purchase", metavar="HOW", help="on-demand, spot or any.")] = "on-demand",
    max_nodes: Annotated[int, typer.Option("--max-nodes", metavar="N", help="Of a cluster.")] = 16,
    efa: Annotated[bool, typer.Option("--efa", help="Only types with EFA.")] = False,
    keep_file_system: Annotated[bool, typer.Option("--keep-file-system", help="The data stays where it is.")] = False,
    instance: Annotated[str | None, typer.Option("--instance", metavar="TYPE", help="Where the job runs now.")] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", metavar="NAME", help="With --from: what the GPU equals.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", metavar="N", help="Of the run.")] = None,
    samples: Annotated[str | None, typer.Option("--samples", metavar="N", help="Of the run, all epochs: 100M.")] = None,
    dataset_gb: Annotated[
        float | None, typer.Option("--dataset-gb", metavar="GB", help="With --from: the size of the data set.")
    ] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", metavar="N", help="With --from: of the model, such as 25.6M.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What if: loader_workers=16, file_system=NAME."),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", metavar="A,B", help="Only these EC2 types, side by side.")
    ] = None,
    format: Format = None,
    output: OutputPath = None,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Plan the cheapest climb that meets a goal.

    From a workload profile, a diagnosis or probes, up the ladder over EC2 types and file systems: throughput, hours and dollars
    of each step, with 90% intervals.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.recommend import Request, run

    return run(
        Request(
            output=choose(format, output, no_color=no_color),
            workload=workload,
            sources=tuple(sources or ()),
            deadline=deadline,
            budget=budget,
            samples_per_second=samples_per_second,
            regions=listed(region),
            families=listed(families),
            instance=instance,
            accelerator=accelerator,
            purchase=purchase,
            max_nodes=max_nodes,
            efa=efa,
            keep_file_system=keep_file_system,
            epochs=epochs,
            samples=samples,
            dataset_gb=dataset_gb,
            parameters=parameters,
            settings=tuple(settings or ()),
            compare=listed(compare),
            quiet=quiet,
        )
    )


@app.command()
def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A report in JSON, or a recording.")],
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """Render a saved report, or a recording, in any format."""
    from mlscale.cli.output import choose
    from mlscale.cli.report import run

    return run(file, choose(format, output, no_color=no_color))


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The diagnosis before the step: JSON or recording.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The one after it.")],
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """Compare what a step promised with what it brought."""
    from mlscale.cli.diff import run
    from mlscale.cli.output import choose

    return run(before, after, choose(format, output, no_color=no_color))


for name, commands in (("probe", probe), ("catalog", catalog), ("workloads", workloads)):
    app.add_typer(commands, name=name)
