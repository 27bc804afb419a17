"""The command lines of `mlscale catalog` and `mlscale workloads`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlscale.cli.parameters import Format, NoColor, OutputPath, Quiet, group, listed

catalog = group("EC2 types, accelerators, file systems, prices.")
workloads = group("Profiles of training jobs to plan for.")


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
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> int:
    """Bring types and prices up to date from AWS, with your own credentials."""
    from mlscale.cli.output import choose
    from mlscale.cli.refresh import run

    return run(listed(region), listed(family), choose(format, output, no_color=no_color), quiet)


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
