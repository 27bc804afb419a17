"""The command line: what can be asked. Each command's work is imported only when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import mlscale

app = typer.Typer(
    name="mlscale",
    help="Watches a live training job, unchanged, and says which scaling step is next, with evidence and the speed-up "
    "that it promises; or plans one over EC2 types and file systems, with hours and dollars.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Format = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="FORMAT", help="terminal, json, markdown, html or jira.", show_default=False
    ),
]
OutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="Write to a file; its suffix chooses the format (.json, .md, .html)."
    ),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (as with NO_COLOR).")]


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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
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
    from_report: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Continue from a diagnosis: its JSON, or a recording.")
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    no_color: NoColor = False,
) -> int:
    """Plan the cheapest climb that meets a goal.

    From a workload profile or a diagnosis, up the ladder over EC2 types and file systems: throughput, hours and dollars
    of each step, with 90% intervals.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.recommend import Request, run

    return run(
        Request(
            output=choose(format, output, no_color=no_color),
            workload=workload,
            report=from_report,
            deadline=deadline,
            budget=budget,
            samples_per_second=samples_per_second,
            regions=_listed(region),
            families=_listed(families),
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
            compare=_listed(compare),
            quiet=quiet,
        )
    )


def _listed(texts: list[str] | None) -> tuple[str, ...]:
    """An option that is repeated, or a list with commas."""
    return tuple(part.strip() for text in texts or () for part in text.split(",") if part.strip())


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


probe = typer.Typer(help="What the store, the loader or the step can each do alone.", rich_markup_mode=None)
catalog = typer.Typer(help="EC2 types, accelerators, file systems, prices.", rich_markup_mode=None)
workloads = typer.Typer(help="Profiles of training jobs to plan for.", rich_markup_mode=None)
for group, name in ((probe, "probe"), (catalog, "catalog"), (workloads, "workloads")):
    app.add_typer(group, name=name)


@probe.callback(invoke_without_command=True)
@catalog.callback(invoke_without_command=True)
@workloads.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


Duration = Annotated[str, typer.Option("--duration", metavar="TIME", help="Measure for so long: 20s, 1m.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help="Samples in a batch, where it is not seen.")
]
Python = Annotated[
    str | None,
    typer.Option("--python", metavar="PATH", help="The job's interpreter. [default: the active environment's]"),
]


@probe.command("storage")
def probe_storage(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file or folder of the data set.")],
    duration: Duration = "12s",
    readers: Annotated[
        list[str] | None,
        typer.Option("--readers", metavar="N,N", help="So many at once, one after the other. [default: 1,2,4,8,16,32]"),
    ] = None,
    cached: Annotated[
        bool, typer.Option("--cached", help="Leave what is in the page cache there, and read it from there.")
    ] = False,
    format: Format = None,
    output: OutputPath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    no_color: NoColor = False,
) -> int:
    """Read files as a loader would: alone, then several at once.

    Each is dropped from the page cache first, so that it comes from the store: a job that uses these files has to read them
    again. Nothing is written.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import run_storage

    return run_storage(path, duration, _listed(readers), cached, choose(format, output, no_color=no_color), quiet)


@probe.command("loader", epilog="Example: mlscale probe loader train.py:loader --workers 0,2,4,8")
def probe_loader(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:OBJECT", help="A loader, or a function that gives one; or FILE.py:OBJECT.")
    ],
    duration: Duration = "20s",
    workers: Annotated[
        list[str] | None,
        typer.Option("--workers", metavar="N,N", help="Try a PyTorch DataLoader with so many. [default: as it is]"),
    ] = None,
    batch_size: BatchSize = None,
    python: Python = None,
    format: Format = None,
    output: OutputPath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    no_color: NoColor = False,
) -> int:
    """Iterate a loader with nothing behind it.

    Your module is imported in a process of its own: guard its training with `if __name__ == "__main__"`.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import CodeRequest, run_code

    chosen = choose(format, output, no_color=no_color)
    return run_code(CodeRequest("loader", target, duration, _listed(workers), batch_size, python, chosen, quiet))


@probe.command("step", epilog="Example: mlscale probe step train.py:step --batch-size 64")
def probe_step(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:CALLABLE", help="Does one training step on data it holds; or FILE.py:NAME.")
    ],
    duration: Duration = "20s",
    batch_size: BatchSize = None,
    python: Python = None,
    format: Format = None,
    output: OutputPath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    no_color: NoColor = False,
) -> int:
    """Call a training step again and again, with no loader before it.

    Your module is imported in a process of its own. PyTorch's CUDA is waited for; others have to wait in the step.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import CodeRequest, run_code

    chosen = choose(format, output, no_color=no_color)
    return run_code(CodeRequest("step", target, duration, (), batch_size, python, chosen, quiet))


@catalog.command("list")
def catalog_list(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="instances, accelerators, file-systems or hosts.")
    ] = "instances",
    family: Annotated[str | None, typer.Option("--family", metavar="FAMILY", help="Of one family: p5.")] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="Offered there.")] = None,
    accelerator: Annotated[str | None, typer.Option("--accelerator", metavar="NAME", help="With this one.")] = None,
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """List one kind of facts."""
    from mlscale.cli.catalog import run_list
    from mlscale.cli.output import choose

    return run_list(what, family, region, accelerator, choose(format, output, no_color=no_color))


@catalog.command("show")
def catalog_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="p5.48xlarge, H100, efs-elastic, ...")],
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """Show all of one, and where each value comes from."""
    from mlscale.cli.catalog import run_show
    from mlscale.cli.output import choose

    return run_show(name, choose(format, output, no_color=no_color))


@catalog.command("refresh")
def catalog_refresh(
    region: Annotated[list[str] | None, typer.Option("--region", metavar="REGION", help="Repeat it, or a,b.")] = None,
    family: Annotated[list[str] | None, typer.Option("--family", metavar="FAMILY", help="Repeat it, or a,b.")] = None,
    format: Format = None,
    output: OutputPath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
    no_color: NoColor = False,
) -> int:
    """Bring types and prices up to date from AWS, with your own credentials."""
    from mlscale.cli.output import choose
    from mlscale.cli.refresh import run

    return run(_listed(region), _listed(family), choose(format, output, no_color=no_color), quiet)


@workloads.command("list")
def workloads_list(format: Format = None, output: OutputPath = None, no_color: NoColor = False) -> int:
    """List the profiles."""
    from mlscale.cli.output import choose
    from mlscale.cli.workloads import run_list

    return run_list(choose(format, output, no_color=no_color))


@workloads.command("show")
def workloads_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A profile's name, or a YAML file.")],
    format: Format = None,
    output: OutputPath = None,
    no_color: NoColor = False,
) -> int:
    """Show one profile, and where its figures come from."""
    from mlscale.cli.output import choose
    from mlscale.cli.workloads import run_show

    return run_show(name, choose(format, output, no_color=no_color))


@workloads.command("new")
def workloads_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new profile.")],
    path: Annotated[Path | None, typer.Argument(metavar="PATH", help="Where to write it. [default: NAME.yaml]")] = None,
    like: Annotated[str, typer.Option("--like", metavar="PROFILE", help="To start from.")] = "resnet50-imagenet",
) -> int:
    """Write a profile to start from, with a comment for each figure."""
    from mlscale.cli.workloads import run_new

    return run_new(name, path, like)
