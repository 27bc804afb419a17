"""MosaicML Streaming: StreamingDataset downloads shards in threads of each DataLoader worker."""

from mlscale.loaders.kind import LoaderKind, Where

STREAMING = LoaderKind(
    id="streaming",
    label="streaming.StreamingDataset",
    worker_kind="inline",  # with workers it runs inside a DataLoader, and is recognised as that
    waits=(
        Where("StreamingDataset.__iter__", "streaming/base/dataset.py"),
        Where("_each_sample_id", "base/dataset.py"),
    ),
)
