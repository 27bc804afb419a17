"""GPUs through NVML (pynvml). Each figure degrades alone; Hopper and later add the GPM counters."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

# GPM metric ids of nvml.h (12.x).
_GPM = {"graphics": 1, "sm": 2, "sm_occupancy": 3, "tensor": 5, "dram": 10, "pcie_tx_mib_s": 20, "pcie_rx_mib_s": 21}
_GPM_PERCENT = {"graphics", "sm", "sm_occupancy", "tensor", "dram"}
# Two samples must lie more than 0.1 s apart (nvml.h). Its counters miss nothing in between, and to read them takes 2.1 ms of CPU
# time (an H200, driver 580), ten times as much as NVML's utilisation.
GPM_INTERVAL_S = 2.0
_SLOW_EVERY_S = 1.0  # memory, power and clocks: together as dear as the utilisation
_PCIE_EVERY_S = 2.0  # the call itself takes 20 ms (nvml.h: measured over a 20 ms interval)
_THROTTLE = {
    0x0000000000000004: "software power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "software thermal slowdown",
    0x0000000000000040: "hardware thermal slowdown",
    0x0000000000000080: "hardware power brake",
}


class Gpus:
    """An open NVML session. `reason` says why there is none; then `count` is 0 and nothing raises."""

    def __init__(self) -> None:
        self.count = 0
        self.reason: str | None = None
        self._handles: list[Any] = []
        self._gpm: dict[int, tuple[float, Any]] = {}
        self._pcie_at: dict[int, float] = {}
        self._slow_at: dict[int, float] = {}
        self._gone: set[str] = set()
        try:
            import pynvml
        except ImportError:
            self.reason = "the module pynvml is not installed (pip install nvidia-ml-py)"
            return
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self.count = int(pynvml.nvmlDeviceGetCount())
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(self.count)]
        except pynvml.NVMLError as error:
            self.count, self._handles = 0, []
            self.reason = _reason(error)
            return
        if not self.count:
            self.reason = "the driver sees no GPU"

    def facts(self) -> list[dict[str, Any]]:
        """What does not change: name, memory, limits, MIG, GPM support, driver. One per GPU."""
        nvml: Any = self._nvml if self._handles else None
        found: list[dict[str, Any]] = []
        for index, handle in enumerate(self._handles):
            fact: dict[str, Any] = {"index": index, "name": _text(self._try(nvml.nvmlDeviceGetName, handle)) or "GPU"}
            uuid = _text(self._try(nvml.nvmlDeviceGetUUID, handle))
            if uuid:
                fact["uuid"] = uuid
            memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
            if memory is not None:
                fact["memory_bytes"] = int(memory.total)
            limit = self._try(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
            if limit:
                fact["power_limit_w"] = limit / 1000
            clock = self._try(nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM)
            if clock:
                fact["max_sm_clock_mhz"] = int(clock)
            mig = self._try(nvml.nvmlDeviceGetMigMode, handle)
            fact["mig"] = bool(mig and mig[0])
            fact["gpm"] = self._gpm_supported(handle)
            generation = self._try(nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle)
            width = self._try(nvml.nvmlDeviceGetMaxPcieLinkWidth, handle)
            if generation and width:
                fact["pcie_generation"], fact["pcie_width"] = int(generation), int(width)
            driver = _text(self._try(nvml.nvmlSystemGetDriverVersion))
            if driver:
                fact["driver"] = driver
            found.append(fact)
        return found

    def holders(self) -> dict[int, set[int]]:
        """GPU index -> ids of the processes that compute on it. {} where the driver does not tell (other namespaces)."""
        found: dict[int, set[int]] = {}
        for index, handle in enumerate(self._handles):
            processes = self._try(self._nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
            found[index] = {int(process.pid) for process in processes}
        return found

    def sample(self, index: int) -> dict[str, Any]:
        """One look at one GPU. Keys are absent where the driver has no answer; {"lost": reason} where it fails."""
        nvml, handle = self._nvml, self._handles[index]
        values: dict[str, Any] = {}
        try:
            rates = nvml.nvmlDeviceGetUtilizationRates(handle)
            values["busy"], values["memory_busy"] = rates.gpu / 100, rates.memory / 100
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
                return {"lost": _reason(error)}
        now = time.monotonic()
        if now - self._slow_at.get(index, -_SLOW_EVERY_S) >= _SLOW_EVERY_S:
            self._slow_at[index] = now
            values.update(self._slow(handle))
        values.update(self._gpm_sample(index, handle))
        if index not in self._gpm:  # else GPM tells it, and NVML's own answer takes 40 ms
            values.update(self._pcie(index, handle))
        return values

    def _slow(self, handle: Any) -> dict[str, Any]:
        """What changes slowly: memory, power, clocks."""
        nvml, values = self._nvml, dict[str, Any]()
        memory = self._once(nvml.nvmlDeviceGetMemoryInfo, handle)
        if memory is not None:
            values["memory_used_bytes"] = int(memory.used)
        power = self._once(nvml.nvmlDeviceGetPowerUsage, handle)
        if power is not None:
            values["power_w"] = power / 1000
        clock = self._once(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)
        if clock is not None:
            values["sm_clock_mhz"] = int(clock)
        reasons = self._once(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        if reasons:
            names = [name for bit, name in _THROTTLE.items() if reasons & bit]
            if names:
                values["throttle"] = names
        return values

    def close(self) -> None:
        """Ends the session."""
        if self._handles:
            self._try(self._nvml.nvmlShutdown)
            self._handles = []

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (self._nvml.NVMLError, AttributeError, TypeError):
            return None

    def _once(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """As _try, but a call that failed is not made again: a refusal costs as much as an answer."""
        if call.__name__ in self._gone:
            return None
        value = self._try(call, *arguments)
        if value is None:
            self._gone.add(call.__name__)
        return value

    def _gpm_supported(self, handle: Any) -> bool:
        nvml = self._nvml
        if not hasattr(nvml, "nvmlGpmQueryDeviceSupport"):
            return False
        support = self._try(nvml.nvmlGpmQueryDeviceSupport, handle)
        return bool(support is not None and support.isSupportedDevice)

    def _gpm_sample(self, index: int, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        if f"gpm{index}" in self._gone:
            return {}
        if index not in self._gpm and not self._gpm_supported(handle):
            self._gone.add(f"gpm{index}")
            return {}
        now = time.monotonic()
        before = self._gpm.get(index)
        if before is not None and now - before[0] < GPM_INTERVAL_S:
            return {}
        try:
            taken = nvml.nvmlGpmSampleAlloc()
            nvml.nvmlGpmSampleGet(handle, taken)
        except (nvml.NVMLError, AttributeError):
            self._gone.add(f"gpm{index}")
            return {}
        self._gpm[index] = (now, taken)
        if before is None:
            return {}
        try:
            request = nvml.c_nvmlGpmMetricsGet_t()
            request.version = nvml.NVML_GPM_METRICS_GET_VERSION
            request.numMetrics = len(_GPM)
            request.sample1, request.sample2 = before[1], taken
            for slot, metric in enumerate(_GPM.values()):
                request.metrics[slot].metricId = metric
            nvml.nvmlGpmMetricsGet(request)
            values = {}
            for slot, name in enumerate(_GPM):
                metric = request.metrics[slot]
                if metric.nvmlReturn == 0 and metric.value == metric.value:
                    values[f"gpm_{name}"] = metric.value / 100 if name in _GPM_PERCENT else metric.value
            if "gpm_pcie_tx_mib_s" in values and "gpm_pcie_rx_mib_s" in values:
                values["pcie_bytes_per_s"] = (values.pop("gpm_pcie_tx_mib_s") + values.pop("gpm_pcie_rx_mib_s")) * 2**20
            values["gpm_s"] = now - before[0]
            return values
        except (nvml.NVMLError, AttributeError, ctypes.ArgumentError):
            self._gone.add(f"gpm{index}")
            return {}
        finally:
            self._try(nvml.nvmlGpmSampleFree, before[1])

    def _pcie(self, index: int, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        now = time.monotonic()
        if now - self._pcie_at.get(index, -_PCIE_EVERY_S) < _PCIE_EVERY_S:
            return {}
        self._pcie_at[index] = now
        total = 0
        for direction in (nvml.NVML_PCIE_UTIL_TX_BYTES, nvml.NVML_PCIE_UTIL_RX_BYTES):
            kilobytes = self._once(nvml.nvmlDeviceGetPcieThroughput, handle, direction)
            if kilobytes is None:
                return {}
            total += kilobytes * 1000
        return {"pcie_bytes_per_s": total}


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _reason(error: Exception) -> str:
    """The driver's refusal in words a user can act on."""
    text = str(error)
    if "Shared Library Not Found" in text:
        return "no NVIDIA driver library (libnvidia-ml.so.1) on this machine"
    if "Driver Not Loaded" in text:
        return "the NVIDIA driver is not loaded (modprobe nvidia)"
    if "Insufficient Permissions" in text:
        return "the driver refuses this user (in a container: run it with --gpus all)"
    if "GPU is lost" in text:
        return "the GPU fell off the bus (driver: GPU is lost)"
    return f"NVML says: {text}"
