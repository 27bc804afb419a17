"""Reads the constants of the exchange model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlscale.catalog.document import read_document
from mlscale.errors import UnreadableInput
from mlscale.model.exchange import Curve, ExchangeConstants, Fabric, Spread


def read_exchange_constants(path: Path) -> ExchangeConstants:
    """The constants from `calibration/exchange.yaml` of the profiles."""
    return exchange_of(read_document(path).values, str(path))


def exchange_of(told: Mapping[str, Any], path: str) -> ExchangeConstants:
    """The constants from the file's plain content; `path` is named in complaints."""
    try:
        fitted = told["fitted"]
        return ExchangeConstants(
            overlap=(float(fitted["overlap"]["node"]), float(fitted["overlap"]["network"])),
            exposed=(float(fitted["exposed_fraction"]["node"]), float(fitted["exposed_fraction"]["network"])),
            bucket_bytes=float(told["bucket_bytes"]),
            straggler=(float(fitted["straggler_fraction"]["node"]), float(fitted["straggler_fraction"]["network"])),
            sync_s=float(fitted["sync_s"]),
            sync_power=float(fitted["sync_power"]),
            tcp_bytes_per_s=float(told["tcp_bytes_per_s"]),
            network_latency_s=float(fitted["network_latency_s"]),
            shared_power=float(fitted["shared_power"]),
            step_latency_s=float(fitted["step_latency_s"]),
            update_s_per_byte=float(fitted["update_s_per_byte"]),
            fabrics={name: _fabric(fabric) for name, fabric in told["fabrics"].items()},
            factors={
                level: {str(name): float(value) for name, value in names.items()}
                for level, names in fitted["factors"].items()
            },
            spread={
                name: Spread(**{key: float(value) for key, value in each.items()})
                for name, each in told["spread"].items()
            },
            source=str(told["source"]),
            groups=frozenset(told["groups"]),
        )
    except KeyError as missing:
        raise UnreadableInput(
            f"{path}: key {missing} is missing; benchmarks/fit_exchange.py writes this file"
        ) from missing
    except (TypeError, ValueError, AttributeError) as problem:
        raise UnreadableInput(f"{path}: {problem}; benchmarks/fit_exchange.py writes this file") from problem


def _fabric(told: Mapping[str, Any]) -> Fabric:
    curves = tuple(
        Curve(
            int(gpus), tuple(float(size) for size in told["sizes_bytes"]), tuple(float(s) * 1e-6 for s in microseconds)
        )
        for gpus, microseconds in sorted((told.get("all_reduce_us") or {}).items())
    )
    return Fabric(str(told["title"]), curves, float(told.get("bytes_per_s") or 0.0), bool(told.get("shared", False)))
