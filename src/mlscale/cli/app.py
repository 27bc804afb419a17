"""The command line: what can be asked. Each command's work is imported only when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import mlscale

app = typer.Typer(
    name="mlscale",
    help="Watches a live training job, unchanged, and says which scaling step is next: with evidence, and with the "
    "speed-up that it promises.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Format = Annotated[
    str | None, typer.Option("--format", "-f", metavar="FORMAT", help="terminal or json.", show_default=False)
]
OutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="Write to a file; its suffix chooses the format (.json, .txt)."
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
