"""Reads workload profiles: the shipped ones in `profiles/workloads/`, or a user's own file. Units: `docs/workloads.md`.

Nothing is filled in silently: each key is wanted, but for those that may be left out, and a wrong one is named.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, get_args

from mlscale.catalog.document import read_document, subsection
from mlscale.catalog.read import profiles
from mlscale.catalog.types import Confidence, Dataset, MeasuredRow, Precision, Source, StepCost, Workload
from mlscale.errors import UnreadableInput, UsageProblem

_Check = Callable[[str, Any], Any]  # ("FILE: key", what YAML gave) -> the value; raises UnreadableInput
_SUFFIXES = (".yaml", ".yml")


def load_workloads(folder: Path | None = None) -> dict[str, Workload]:
    """All profiles of a folder (the shipped ones when None) by name, in the order of their names."""
    folder = profiles() / "workloads" if folder is None else folder
    files = _files(folder)
    if not files:
        raise UnreadableInput(f"{folder}: no workload profile is there. Reinstall mlscale, or name another folder.")
    accelerators = known_accelerators()
    return {name: _built_in(file, accelerators) for name, file in files.items()}


def find_workload(name_or_path: str) -> Workload:
    """A shipped profile by its name, or a file by its path. Raises UsageProblem for a name that there is not."""
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() in _SUFFIXES or os.sep in name_or_path or path.is_file():
        return read_workload(path, known_accelerators())
    files = _files(profiles() / "workloads")
    name = name_or_path.strip().lower().replace("_", "-").replace(" ", "-")
    if name not in files:
        near = difflib.get_close_matches(name, files, 3, 0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageProblem(
            f"workload '{name_or_path}': there is no such profile, and no such file.{hint} "
            "`mlscale workloads list` shows all."
        )
    return _built_in(files[name], known_accelerators())


def read_workload(path: Path, accelerators: Collection[str] | None = None) -> Workload:
    """One profile from a file. `accelerators` are the names that `step.reference` may be (None: any)."""
    fields = _mapping(_WORKLOAD, optional=_OPTIONAL, at=str(path), value=read_document(path).values, separator=": ")
    step: StepCost = fields["step"]
    if accelerators is not None and step.reference not in accelerators:
        _wrong(f"{path}: step.reference", f"there is no accelerator '{step.reference}'", step.reference, accelerators)
    if step.matrix_s_per_sample + step.memory_s_per_sample + step.host_s_per_sample <= 0:
        raise UnreadableInput(f"{path}: step: its three parts are all 0. Give the seconds of one sample's step.")
    some = fields.get("synchronized_parameters")
    if some is not None and some > fields["parameters"]:
        raise UnreadableInput(
            f"{path}: synchronized_parameters: {some:g} is more than all parameters ({fields['parameters']:g})."
        )
    return Workload(**fields)


def known_accelerators() -> frozenset[str]:
    """Names of the shipped accelerators."""
    return frozenset(subsection(read_document(profiles() / "accelerators.yaml"), "accelerators", required=True).values)


def valid_name(name: str) -> bool:
    """Whether a profile may be called so: it is a file's name too."""
    return name[:1].isalnum() and all(letter.isalnum() or letter in "-._" for letter in name)


def seconds_per_sample(step: StepCost) -> float:
    """The whole step's seconds for one sample, on its reference accelerator."""
    return step.matrix_s_per_sample + step.memory_s_per_sample + step.host_s_per_sample


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _built_in(file: Path, accelerators: Collection[str] | None) -> Workload:
    workload = read_workload(file, accelerators)
    if workload.name != file.stem:
        raise UnreadableInput(f"{file}: name: '{workload.name}' is not the file's name, {file.stem}. Make them one.")
    return workload


def _wrong(at: str, problem: str, given: object, valid: Collection[str]) -> NoReturn:
    """Refuses a name, with the nearest valid one."""
    near = difflib.get_close_matches(str(given), valid, 1, 0.0)
    many = f"The nearest of {len(valid)} is '{near[0]}'." if near else f"Valid: {', '.join(sorted(valid))}."
    raise UnreadableInput(f"{at}: {problem}. {f'Use one of {_listed(valid)}.' if len(valid) <= 6 else many}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


def _mapping(
    checks: Mapping[str, _Check], at: str, value: Any, *, optional: Collection[str] = (), separator: str = "."
) -> dict[str, Any]:
    """`value` with each key checked; None where an optional one says so counts as left out."""
    if not isinstance(value, dict):
        raise UnreadableInput(f"{at}: should hold {_listed(checks)}, but is {_kind(value)}.")
    for key in value:
        if key not in checks:
            near = difflib.get_close_matches(str(key), checks, 1, 0.0)[0]
            raise UnreadableInput(f"{at}{separator}{key}: there is no such key. The nearest valid one is '{near}'.")
    found: dict[str, Any] = {}
    for key, check in checks.items():
        if key in value and not (key in optional and value[key] is None):
            found[key] = check(f"{at}{separator}{key}", value[key])
        elif key not in optional:
            raise UnreadableInput(f"{at}{separator}{key}: is missing. {_WANTED.get(key, 'It cannot be left out.')}")
    return found


def _part(
    kind: Callable[..., Any], checks: Mapping[str, _Check], optional: Collection[str], at: str, value: Any
) -> Any:
    return kind(**_mapping(checks, at, value, optional=optional))


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    names = {bool: "true or false", dict: "a mapping", list: "a list", str: "text", date: "a date"}
    return names.get(type(value), "a number")


def _number(at: str, value: Any, *, least: float = 0.0, above: bool = False, whole: bool = False) -> Any:
    """A finite number, at least (or above) `least`. Takes "1e9", which YAML 1.1 reads as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise UnreadableInput(f"{at}: '{value}' is no number. Write a plain one: 1200000 or 1.2e6.") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableInput(f"{at}: {_kind(value)} stands where a number is wanted.")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        finite = False
    if not finite:
        raise UnreadableInput(f"{at}: {value} is not a finite number. Give the measured or estimated one.")
    if value < least or (above and value == least):
        raise UnreadableInput(f"{at}: {value} is too small. It is {'above' if above else 'at least'} {least:g}.")
    if whole and value != int(value):
        raise UnreadableInput(f"{at}: {value} is not a whole number.")
    return int(value) if whole else float(value)


def _text(at: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UnreadableInput(f"{at}: {_kind(value) if value != '' else 'nothing'} stands where text is wanted.")
    return " ".join(value.split())


def _name(at: str, value: Any) -> str:
    name = _text(at, value)
    if not valid_name(name):
        raise UnreadableInput(f"{at}: '{name}' holds other letters than a-z, 0-9, '-', '.' and '_'.")
    return name


def _one_of(valid: Sequence[str], at: str, value: Any) -> str:
    if value not in valid:
        _wrong(at, f"there is no '{value}'", value, valid)
    return str(value)


def _day(at: str, value: Any) -> date:
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        raise UnreadableInput(f"{at}: '{value}' is no day. Write it as 2024-04-30.") from None


def _texts(at: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise UnreadableInput(f"{at}: should be a mapping of names to texts, but is {_kind(value)}.")
    return {str(key): _text(f"{at}.{key}", str(text) if isinstance(text, int | float) else text)
            for key, text in value.items()}  # fmt: skip


_above: _Check = partial(_number, above=True)
_count: _Check = partial(_number, least=1, whole=True)

_SOURCE: dict[str, _Check] = {
    "name": _text,
    "date": _day,
    "confidence": partial(_one_of, get_args(Confidence)),
}
_DATASET: dict[str, _Check] = {
    "samples": _count,
    "bytes_per_sample": _above,
    "files": _count,
    "reads_per_sample": _above,
}
_STEP: dict[str, _Check] = {
    "reference": _text,
    "precision": partial(_one_of, get_args(Precision)),
    "batch_per_gpu": _count,
    "gradient_accumulation": _count,
    "matrix_s_per_sample": _number,
    "memory_s_per_sample": _number,
    "host_s_per_sample": _number,
}
_MEASURED: dict[str, _Check] = {
    "table": _text,
    "where": _texts,
    "column": _text,
    "gpus": _count,
    "units_per_sample": _above,
}
_WORKLOAD: dict[str, _Check] = {
    "name": _name,
    "title": _text,
    "domain": _text,
    "source": partial(_part, Source, _SOURCE, ("confidence",)),
    "dataset": partial(_part, Dataset, _DATASET, ()),
    "epochs": _above,
    "prep_cpu_s_per_sample": _number,
    "step": partial(_part, StepCost, _STEP, ("gradient_accumulation",)),
    "flops_per_sample": _above,
    "parameters": _above,
    "synchronized_parameters": _above,
    "gradient_bytes": _above,
    "optimizer_bytes_per_parameter": _above,
    "activation_bytes_per_sample": _number,
    "tokens_per_sample": _above,
    "measured": partial(_part, MeasuredRow, _MEASURED, ("gpus", "units_per_sample")),
    "notes": _texts,
}
_OPTIONAL = ("synchronized_parameters", "tokens_per_sample", "measured", "notes")
_WANTED = {  # what to do about a key that is missing
    "source": "Say where the figures come from: {name: my measurement, date: 2024-04-30}.",
    "reference": "Name the accelerator on which the step was measured, such as A100-80GB.",
}
