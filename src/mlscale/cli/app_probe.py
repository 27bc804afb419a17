"""The command line of `mlscale probe`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlscale.cli.parameters import Format, NoColor, OutputPath, Quiet, group, listed

probe = group("What the store, the loader or the step can each do alone.")

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
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Read files as a loader would: alone, then several at once.

    Each is dropped from the page cache first, so that it comes from the store: a job that uses these files has to read them
    again. Nothing is written.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import run_storage

    return run_storage(path, duration, listed(readers), cached, choose(format, output, no_color=no_color), quiet)


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
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Iterate a loader with nothing behind it.

    Your module is imported in a process of its own: guard its training with `if __name__ == "__main__"`.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import CodeRequest, run_code

    chosen = choose(format, output, no_color=no_color)
    return run_code(CodeRequest("loader", target, duration, listed(workers), batch_size, python, chosen, quiet))


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
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Call a training step again and again, with no loader before it.

    Your module is imported in a process of its own. PyTorch's CUDA is waited for; others have to wait in the step.
    """
    from mlscale.cli.output import choose
    from mlscale.cli.probe import CodeRequest, run_code

    chosen = choose(format, output, no_color=no_color)
    return run_code(CodeRequest("step", target, duration, (), batch_size, python, chosen, quiet))
