"""loaders: how each data loader's frames and workers read. One file a loader."""
