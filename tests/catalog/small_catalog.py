"""A small catalog to refresh, and a command that refreshes it, in a process of its own: `python -m ... REGION,... FAMILY,...`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date

from mlscale.catalog.types import Accelerator, Catalog, Instance, Price, Source, SpotPrice

SHIPPED = Source("a test's shelf", date(2026, 7, 20))
GIB = 2.0**30


def accelerator(name: str, memory_bytes: float) -> Accelerator:
    return Accelerator(name, "NVIDIA", "Any", memory_bytes, 1e12, {"fp32": 1e13}, "none", None, None, None, SHIPPED)


def instance(name: str, gpu: str | None, gpus: float, **more: object) -> Instance:
    base = Instance(
        name=name,
        family=name.partition(".")[0],
        retired=False,
        vcpus=8,
        cores=4,
        memory_bytes=32 * GIB,
        accelerator=gpu,
        accelerators=gpus,
        interconnect="pcie" if gpus > 1 else "none",
        network_bytes_per_s=1e9,
        network_peak_bytes_per_s=1e9,
        efa=False,
        efa_interfaces=0,
        ebs_bytes_per_s=1e8,
        ebs_peak_bytes_per_s=1e8,
        ebs_iops=3000.0,
        ebs_peak_iops=3000.0,
        nvme_bytes=0.0,
        nvme_devices=0,
        nvme_iops=12345.0,
        placement_group=True,
        regions=("us-east-1", "us-west-2"),
        source=SHIPPED,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def price(usd: float, **more: object) -> Price:
    return Price(usd, SHIPPED, **more)  # type: ignore[arg-type]


CATALOG = Catalog(
    instances={
        each.name: each
        for each in (
            instance(
                "g6.xlarge",
                "L4",
                1,
                on_demand={"us-east-1": price(0.9), "us-west-2": price(0.8048)},
                spot={"us-east-1": SpotPrice(0.3, SHIPPED, 0.1)},
            ),
            instance("g6.12xlarge", "L4", 4, on_demand={"us-east-1": price(4.6016)}),
            instance("g6f.xlarge", "L4", 0.125),
            instance("p5.48xlarge", "H100", 8, interconnect="nvswitch", on_demand={"us-east-1": price(98.32)}),
            instance("trn2u.48xlarge", "Trainium2", 16, interconnect="neuronlink", regions=("ap-south-2",)),
            instance("p2.xlarge", "K80", 1, retired=True, regions=(), on_demand={"us-east-1": price(0.9)}),
            instance("g3.gone", "M60", 1, regions=("us-east-1",), on_demand={"us-east-1": price(1.14)}),
        )
    },
    accelerators={
        name: accelerator(name, gigabytes * 1e9)
        for name, gigabytes in {
            "L4": 24,
            "L40S": 48,
            "A100-40GB": 40,
            "A100-80GB": 80,
            "H100": 80,
            "Trainium2": 96,
            "K80": 12,
            "M60": 8,
            "RTX-PRO-6000-Server": 96,
        }.items()
    },
    file_systems={},
    taken=SHIPPED.date,
    path="a test",
)


def main(regions: str, families: str, format: str = "json", *more: str) -> int:
    """What `mlscale catalog refresh` does with this catalog, with the command's own handling of errors."""
    from mlscale.cli.output import Output, say
    from mlscale.cli.refresh import run
    from mlscale.errors import MlscaleError

    try:
        asked = [each for each in regions.split(",") if each], [each for each in families.split(",") if each]
        return run(*asked, Output(format, None), "--quiet" in more, CATALOG)
    except MlscaleError as error:
        say(f"mlscale: {error.message}")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
