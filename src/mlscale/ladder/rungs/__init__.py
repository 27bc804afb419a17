"""The rungs of the ladder, one file each, in the order of the white paper."""

from mlscale.ladder.rung import Rung
from mlscale.ladder.rungs.bigger_gpu import BIGGER_GPU
from mlscale.ladder.rungs.cluster import CLUSTER
from mlscale.ladder.rungs.cpu_to_gpu import CPU_TO_GPU
from mlscale.ladder.rungs.data_store import DATA_STORE
from mlscale.ladder.rungs.loader_workers import LOADER_WORKERS
from mlscale.ladder.rungs.multi_gpu_node import MULTI_GPU_NODE
from mlscale.ladder.rungs.prep_cluster import PREP_CLUSTER
from mlscale.ladder.rungs.trim_preprocessing import TRIM_PREPROCESSING

RUNGS: tuple[Rung, ...] = (
    CPU_TO_GPU,
    LOADER_WORKERS,
    DATA_STORE,
    TRIM_PREPROCESSING,
    PREP_CLUSTER,
    BIGGER_GPU,
    MULTI_GPU_NODE,
    CLUSTER,
)
