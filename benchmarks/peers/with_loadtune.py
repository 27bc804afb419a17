"""loadtune: it owns the loop, and measures trials with other loader settings."""

from __future__ import annotations

CHANGE = "the loop is rewritten as its Workload"
NAMES = (
    (r"CPU.saturated", ("preprocessing",)),
    (r"^more workers", ("loader_workers",)),
    (r"input.bound", ("loader_workers", "storage", "preprocessing")),
    (r"compute.bound|healthy|balanced|mildly contended", ("gpu",)),
)
SHOWN = ""
WORTH = 1.1  # times as fast, from which its best setting is an advice


def main() -> None:
    import re
    import time

    import torch
    from benchmarks.peers.workload import Files, Model, Workload, tell
    from loadtune import tune
    from loadtune.workload import Workload as Theirs

    ours = Workload()

    def step(
        model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor, device: object
    ) -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(batch)
        loss.backward()
        optimizer.step()
        ours.between()
        return loss

    theirs = Theirs(
        "job",
        lambda: Files(ours.args.data, ours.args.cpu_ms),
        lambda: Model(ours.args.step_ms),
        step,
        lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        default_batch_size=16,
    )
    ours.first = time.monotonic()
    result = tune(theirs, steps=40, warmup=5, max_trials=3, fast=True, verbose=False)
    said = " ".join(str(result.diagnosis).split())
    best = re.search(r"workers=(\d+)", result.best.knobs.label())
    if result.speedup >= WORTH and best and int(best[1]) > ours.args.workers:
        said = f"more workers: {said}"
    tell(ours, f"{said[:300]} best {result.best.knobs.label()}, {result.speedup:.2f} times")


if __name__ == "__main__":
    main()
