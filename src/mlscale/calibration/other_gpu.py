"""Reads `profiles/calibration/other_gpu.yaml`: how accelerators and kinds of models behave beside the data sheets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlscale.catalog.document import read_document
from mlscale.catalog.types import Precision
from mlscale.errors import UnreadableInput
from mlscale.model.accelerator import Kind, OtherGpuConstants, Speed, Spread

PATHS: tuple[Precision, ...] = ("fp32", "tf32", "fp16", "fp8")


def read_constants(path: Path) -> OtherGpuConstants:
    """The constants of the file. UnreadableInput, with the file and the key, where it is not as it should be."""
    return _Reader(path).constants(read_document(path).values)


class _Reader:
    """Walks one file, and names it and the key where something is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def constants(self, content: Any) -> OtherGpuConstants:
        top = self.mapping(content, "the file")
        intervals = self.mapping(self.at(top, "interval"), "interval")
        return OtherGpuConstants(
            efficiency={path: self.log(self.at(top, "peak_share"), path, "peak_share") for path in PATHS},
            half_traffic=self.log(top, "half_precision_bytes"),
            batch_exponent=self.number(top, "batch_exponent"),
            speeds=self.speeds(top, "accelerators"),
            generations=self.speeds(top, "generations"),
            kinds={
                name: self.kind(self.mapping(value, f"kinds.{name}"), f"kinds.{name}")
                for name, value in self.mapping(self.at(top, "kinds"), "kinds").items()
            },
            other_kind=self.kind(self.mapping(self.at(top, "other_kind"), "other_kind"), "other_kind"),
            known_classes=self.spread(intervals, "known_classes"),
            total_only=self.spread(intervals, "total_only"),
            batch_log_sd=self.number(intervals, "batch", "interval", low=0.0),
            unmeasured_log_sd=self.number(intervals, "unmeasured_accelerator", "interval", low=0.0),
            unmeasured_generation_log_sd=self.number(intervals, "unmeasured_generation", "interval", low=0.0),
            unmeasured_kind_log_sd=self.number(intervals, "unmeasured_kind", "interval", low=0.0),
            eight_over_pcie={
                str(kind): self.log(self.at(top, "eight_over_pcie"), kind, "eight_over_pcie")
                for kind in self.mapping(self.at(top, "eight_over_pcie"), "eight_over_pcie")
            },
            groups=self.groups(top),
        )

    def speeds(self, top: Mapping[str, Any], key: str) -> dict[str, Speed]:
        found = {}
        for name, value in self.mapping(self.at(top, key), key).items():
            where = f"{key}.{name}"
            one = self.mapping(value, where)
            matrix = self.mapping(self.at(one, "matrix", where), f"{where}.matrix")
            measured = one.get("measured", [])
            if not isinstance(measured, list) or not set(measured) <= set(PATHS):
                self.wrong(f"{where}.measured", f"a list of {', '.join(PATHS)}")
            found[str(name)] = Speed(
                {path: self.log(matrix, path, f"{where}.matrix") for path in PATHS if path in matrix},
                self.log(one, "memory", where),
                self.log(one, "host", where) if "host" in one else 0.0,
                self.number(one, "small_kernels", where) if "small_kernels" in one else 0.0,
                tuple(measured),
            )
        return found

    def kind(self, one: Mapping[str, Any], where: str) -> Kind:
        return Kind(
            self.log(one, "flop_per_byte", where),
            self.log(one, "flop_per_byte_half", where) if "flop_per_byte_half" in one else 0.0,
            self.log(one, "host_s_per_byte", where),
        )

    def spread(self, intervals: Mapping[str, Any], key: str) -> Spread:
        where = f"interval.{key}"
        one = self.mapping(self.at(intervals, key, "interval"), where)
        return Spread(*(self.number(one, part, where, low=0.0) for part in ("base", "gap", "ratio")))

    def groups(self, top: Mapping[str, Any]) -> tuple[str, ...]:
        found = self.at(top, "groups")
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.wrong("groups", "a list of names")
        return tuple(found)

    def at(self, values: Any, key: Any, where: str = "") -> Any:
        if not isinstance(values, dict) or key not in values:
            raise UnreadableInput(f"{self.path}: {f'{where}.' if where else ''}{key} is missing.")
        return values[key]

    def mapping(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.wrong(where, "names and values")
        return dict(value)

    def number(self, values: Any, key: Any, where: str = "", low: float = -math.inf) -> float:
        value = self.at(values, key, where)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < low:
            self.wrong(f"{where}.{key}" if where else str(key), f"a number{'' if low < 0 else ' of 0 or more'}")
        return float(value)

    def log(self, values: Any, key: Any, where: str = "") -> float:
        """The logarithm of a factor, which the file writes plain."""
        value = self.number(values, key, where)
        if value <= 0:
            self.wrong(f"{where}.{key}" if where else str(key), "a number above 0")
        return math.log(value)

    def wrong(self, where: str, wanted: str) -> None:
        raise UnreadableInput(f"{self.path}: {where} must be {wanted}.")
