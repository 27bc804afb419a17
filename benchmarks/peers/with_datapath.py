"""datapath-doctor: its profiler around the loader, a record after each step, its rules at the end."""

from __future__ import annotations

CHANGE = "a wrapper and collectors, some 15 lines"
NAMES = (
    (r"small-file|disk|storage latency|PSI|I/O pressure", ("storage",)),
    (r"CPU", ("preprocessing",)),
    (r"checkpoint", ("checkpoint",)),
    (r"pipeline is the (?:training )?bottleneck|starv|prefetch", ("loader_workers", "storage", "preprocessing")),
    (r"healthy|no findings", ("gpu",)),
)
SHOWN = ""


def main() -> None:
    import os

    from benchmarks.peers.workload import Workload, tell
    from datapath_doctor.collectors.dataloader_profiler import DataLoaderProfiler
    from datapath_doctor.collectors.proc_stats import DiskIOCollector, PSICollector
    from datapath_doctor.correlation import correlate_findings
    from datapath_doctor.engine import RuleEngine

    workload = Workload()
    profiler = DataLoaderProfiler(workload.loader(), num_workers=workload.args.workers, prefetch_factor=2)
    device = os.stat(workload.args.data).st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    disk, pressure = DiskIOCollector(name), PSICollector()
    for batch in profiler:
        workload.step(batch)
        sample = profiler.record_compute_done()
        for reading in (disk.sample(), pressure.sample()):
            for key, value in (reading or {}).items():
                setattr(sample, key, value)
        if not workload.between():
            break
    findings = RuleEngine.with_default_rules().run(profiler.samples)
    diagnosis = correlate_findings(findings)
    said = " · ".join(finding.title for finding in findings) or "no findings"
    if diagnosis:
        said = f"{diagnosis.summary} ({diagnosis.confidence})"
    tell(workload, said)


if __name__ == "__main__":
    main()
