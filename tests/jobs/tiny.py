"""A small network on batches of a few kilobytes from memory: some thousand steps a second, as in many a first script."""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BATCH, LOG_EVERY = 32, 50


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    data = TensorDataset(torch.randn(200_000, 32), torch.randint(0, 10, (200_000,)))
    steps, waited = 0, 0.0
    with args.log.open("w", buffering=1) as log:
        while True:
            asked = time.monotonic()
            for inputs, targets in DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=args.workers):
                waited += time.monotonic() - asked
                loss = nn.functional.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
                if steps % LOG_EVERY == 0:
                    row = {"t": time.monotonic(), "steps": steps, "samples": steps * BATCH, "waited_s": waited}
                    log.write(json.dumps(row) + "\n")
                asked = time.monotonic()


if __name__ == "__main__":
    main()
