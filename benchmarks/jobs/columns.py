"""Tables: row groups of a Parquet file as a stream, or rows of an HDF5 file by index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from benchmarks.jobs.common import Counts, accelerator, options
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

BATCH = 64


class Parquet(IterableDataset):
    """Each worker takes every so many row groups, again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[torch.Tensor]:
        file = pyarrow.parquet.ParquetFile(self.path)
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        group = first
        while True:
            table = file.read_row_group(group % file.num_row_groups)
            columns = [np.log1p(np.abs(table[name].to_numpy())) for name in table.column_names]
            rows = np.stack(columns, axis=1).astype(np.float32)
            for start in range(0, len(rows) - BATCH + 1, BATCH):
                yield torch.from_numpy(rows[start : start + BATCH])
            group += step


class Hdf5(Dataset):
    """Opened in each worker, for a handle does not outlive a fork."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, None

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            self.file = h5py.File(self.path, "r")
        images = self.file["images"]
        return torch.from_numpy(images[index * 37 % len(images)]).float()


def make_parquet(path: Path) -> Path:
    if not path.exists():
        random = np.random.default_rng(11)
        table = pyarrow.table({f"c{number}": random.normal(size=400_000) for number in range(40)})
        pyarrow.parquet.write_table(table, path, row_group_size=20_000, compression="zstd")
    return path


def make_hdf5(path: Path) -> Path:
    if not path.exists():
        random = np.random.default_rng(11)
        with h5py.File(path, "w") as file:
            shape = (1000, 128, 128, 3)
            images = file.create_dataset("images", shape, "u1", chunks=(1, *shape[1:]), compression="gzip")
            images[:] = random.integers(0, 64, shape, dtype=np.uint8)
    return path


def main() -> None:
    args = options(kind="parquet")
    torch.set_num_threads(1)
    if args.kind == "parquet":
        data, size = Parquet(make_parquet(args.data / "rows.parquet")), None
    else:
        data, size = Hdf5(make_hdf5(args.data / "images.h5")), BATCH
    loader = DataLoader(data, batch_size=size, num_workers=args.workers, persistent_workers=args.workers > 0)
    step, counts = accelerator(args.step_ms), Counts(args.log)
    asked = time.monotonic()
    for rows in loader:
        waited = time.monotonic() - asked
        step()
        counts.add(len(rows), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
