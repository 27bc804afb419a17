"""All loaders, in the order in which they are tried: the more specific first."""

from mlscale.loaders.dali import DALI
from mlscale.loaders.kind import LoaderKind
from mlscale.loaders.processes import PROCESSES
from mlscale.loaders.pytorch import PYTORCH
from mlscale.loaders.streaming import STREAMING
from mlscale.loaders.tfdata import TFDATA
from mlscale.loaders.threads import THREADS
from mlscale.loaders.webdataset import WEBDATASET

LOADERS: tuple[LoaderKind, ...] = (PYTORCH, WEBDATASET, STREAMING, DALI, TFDATA, PROCESSES, THREADS)
