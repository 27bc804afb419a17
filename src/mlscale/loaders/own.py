"""No loader at all: a function of the loop's own makes each batch, as nanoGPT's `get_batch` does from a memory map.

It goes by the name, and only where no loader is seen: elsewhere such a function is a wrapper around one.
"""

from mlscale.loaders.kind import LoaderKind, Where

_VERBS = ("get", "next", "load", "fetch", "sample", "make", "read", "prepare", "build")

OWN = LoaderKind(
    id="own",
    label="a function of the training loop",
    worker_kind="inline",
    waits=tuple(Where(f"{verb}_{what}", "") for verb in _VERBS for what in ("batch", "minibatch")),
)
