"""WebDataset's WebLoader: tar shards through a DataLoader of its own, or iterated in the training thread."""

from mlscale.loaders.kind import LoaderKind, SamplesIn, Where

WEBDATASET = LoaderKind(
    id="webdataset",
    label="webdataset.WebLoader",
    worker_kind="inline",  # with workers it runs inside a DataLoader, and is recognised as that
    waits=(
        Where("DataPipeline.iterator", "webdataset/pipeline.py"),
        Where("iterator1", "webdataset/pipeline.py"),
        Where("tar_file_iterator", "webdataset/tariterators.py"),
        Where("tar_file_expander", "webdataset/tariterators.py"),
        Where("url_opener", "webdataset/tariterators.py"),
    ),
    samples=(SamplesIn(Where("_batched", "webdataset/filters.py"), "batch", "batchsize"),),
)
