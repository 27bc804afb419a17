"""`recommend --from` with probes: what a step and a loader need alone, as the job of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlscale.errors import UnreadableInput, UsageProblem
from mlscale.measure import Measurement, value_of

if TYPE_CHECKING:
    from mlscale.cli.recommend import Request
    from mlscale.plan.job import PlannedJob
    from mlscale.plan.setup import Facts
    from mlscale.report.probe import Probe

_OF_STEP = ("gpu_seconds_per_sample", "gpu_busy_fraction", "gpu_memory_used_bytes")
_OF_LOADER = ("prep_cpu_seconds_per_sample",)


@dataclass(frozen=True)
class Probed:
    """The job, and the figures of both probes that it rests on."""

    job: PlannedJob
    measurements: Mapping[str, Measurement]


def probed_job(
    probes: Sequence[tuple[Path, Probe]], request: Request, settings: dict[str, str], facts: Facts
) -> Probed:
    """From the reports that --from names. Raises MlscaleError where they do not tell enough."""
    from mlscale.cli.recommend_from import accelerator_of, completed
    from mlscale.plan.job import Measured

    found = _by_part(probes)
    path, step = found["step"]
    loader = found["loader"][1] if "loader" in found else None
    rate = _figure(path, step, "throughput")
    accelerator = accelerator_of(path, step.host, request, facts.catalog)
    warnings = []
    gpu_s = value_of(step.measurements.get("gpu_seconds_per_sample"))
    if not gpu_s:  # not seen, or never busy while it was looked at
        gpu_s = 1 / rate
        warnings.append(
            f"{path}: how long the GPU is busy in a step was not seen: the whole step is taken for its work."
        )
    if loader is None:
        warnings.append(
            "No loader was probed: what preparing a sample takes is "
            + ("the profile's." if request.workload else "not known, and none is counted. Probe it too.")
        )
    measured = Measured(
        samples_per_s=rate if loader is None else min(rate, _figure(found["loader"][0], loader, "throughput")),
        batch_per_gpu=max(1, round(rate / _figure(path, step, "step_rate"))),
        gpus=1,
        workers=0,
        prep_cpu_s_per_sample=(
            None if loader is None else value_of(loader.measurements.get("prep_cpu_seconds_per_sample"))
        ),
        gpu_s_per_sample=gpu_s,
        bytes_per_sample=None,
        memory_used_bytes=value_of(step.measurements.get("gpu_memory_used_bytes")),
        training_cores_per_gpu=value_of(step.measurements.get("cpu_used_cores")),
        trim=None,
    )
    job = completed(measured, accelerator, request, settings, facts, name=step.target, warnings=warnings)
    used = {name: step.measurements[name] for name in _OF_STEP if name in step.measurements}
    if loader is not None:
        used |= {name: loader.measurements[name] for name in _OF_LOADER if name in loader.measurements}
    return Probed(job, used)


def _by_part(probes: Sequence[tuple[Path, Probe]]) -> dict[str, tuple[Path, Probe]]:
    """The probes by what they are of, each once, and one of a step among them."""
    found: dict[str, tuple[Path, Probe]] = {}
    for path, probe in probes:
        if probe.of == "storage":
            raise UsageProblem(
                f"{path}: a probe of a store, and a plan takes its store from the catalog. Leave it out, and say "
                "--set file_system=NAME (see `mlscale catalog list file-systems`)."
            )
        if probe.of in found:
            raise UsageProblem(
                f"{path}: a second probe of a {probe.of}, after {found[probe.of][0]}. Name one of a step, and one of a loader."
            )
        found[probe.of] = path, probe
    if "step" not in found:
        raise UsageProblem(
            f"{probes[0][0]}: a probe of a loader alone. A plan needs the step too: mlscale probe step MODULE:NAME -o "
            "step.json, then --from step.json beside this one."
        )
    return found


def _figure(path: Path, probe: Probe, name: str) -> float:
    value = value_of(probe.measurements.get(name))
    if value is None or value <= 0:
        raise UnreadableInput(f"{path}: it has no {name}, for the size of a batch takes --batch-size N. Probe again.")
    return value
