from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import replace

import golden
import jsonschema
import pytest
import samples

from mlscale.measure import Measurement
from mlscale.model.speedup import SpeedUp
from mlscale.report import json as report_json
from mlscale.report.build import build_report
from mlscale.report.diff import Diff
from mlscale.report.recommendation import Recommendation
from mlscale.report.report import MEASUREMENTS, Report

SCHEMA = report_json.schema()


def validate(document: object) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(SCHEMA, format_checker=checker).validate(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", samples.ALL)
def test_reports_keep_to_the_schema(name: str) -> None:
    validate(json.loads(report_json.render(samples.ALL[name]())))


@pytest.mark.parametrize("name", golden.FILES)
def test_recorded_runs_and_plans_keep_to_the_schema(name: str) -> None:
    if name.endswith(".json"):
        validate(json.loads((golden.GOLDEN / name).read_text("utf-8")))


def test_extra_fields_are_allowed_and_missing_ones_are_not() -> None:
    document = json.loads(report_json.render(samples.workers_report()))
    document["verdict"]["since_version_9"] = 1
    validate(document)
    del document["verdict"]["headline"]
    with pytest.raises(jsonschema.ValidationError, match="headline"):
        validate(document)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("verdict", "bottleneck"), "disk"),
        (("verdict", "confidence"), 1.5),
        (("ladder", 0, "status"), "done"),
        (("created_at",), "2025-11-23T19:30:05+01:00"),
        (("schema_version",), "2"),
        (("measurements", "throughput", "low"), None),
        (("ladder",), []),
    ],
)
def test_wrong_values_are_refused(path: tuple[str | int, ...], wrong: object) -> None:
    document = json.loads(report_json.render(samples.workers_report()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


def test_the_schema_describes_each_field_of_the_report() -> None:
    """A field added to a dataclass and forgotten in the schema (or the other way round) fails here."""
    compared = _compare(Report, SCHEMA["$defs"]["diagnosis"], "report")
    assert compared > 100
    assert _compare(Diff, SCHEMA["$defs"]["diff"], "diff") > 20
    assert _compare(Recommendation, SCHEMA["$defs"]["recommendation"], "recommendation") > 100


def _compare(kind: type, schema: Mapping[str, typing.Any], where: str) -> int:
    hints = typing.get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    assert fields == set(schema["properties"]), where
    count = len(fields)
    for name in fields:
        inner = _dataclass_in(hints[name])
        if inner is not None:
            count += _compare(inner, _object_in(schema["properties"][name]), f"{where}.{name}")
    return count


def _dataclass_in(hint: typing.Any) -> type | None:
    if dataclasses.is_dataclass(hint):
        return typing.cast(type, hint)
    if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType, Mapping):
        return next((found for arg in typing.get_args(hint) if (found := _dataclass_in(arg)) is not None), None)
    return None


def _object_in(schema: Mapping[str, typing.Any]) -> Mapping[str, typing.Any]:
    if "$ref" in schema:
        return _object_in(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            return _object_in(schema[key])
    if "anyOf" in schema:
        return _object_in(schema["anyOf"][0])
    return schema


def test_names_are_the_contracts() -> None:
    document = json.loads(report_json.render(samples.gpu_report()))
    assert document["schema_version"] == "1" and document["kind"] == "diagnosis"
    assert document["tool"]["name"] == "mlscale"
    assert document["created_at"] == "2025-11-23T19:30:05Z"
    assert document["host"]["gpus"][0]["name"].startswith("NVIDIA") and document["host"]["gpus"][0]["memory_bytes"]
    assert document["job"]["loader"]["start_method"] == "fork"
    assert [rung["rung"] for rung in document["ladder"]] == SCHEMA["$defs"]["rung"]["enum"]


def test_absent_measurements_are_named_in_the_warnings() -> None:
    document = json.loads(report_json.render(samples.workers_report()))
    said = " ".join(document["warnings"])
    for name in MEASUREMENTS:
        assert (name in document["measurements"]) != (name in said), name


def test_what_is_not_finite_never_reaches_json() -> None:
    profile, diagnosis = samples.profile(), samples.diagnosis()
    broken = Measurement(float("nan"), "samples/s", 1.0, float("inf"), "counter")
    profile = replace(profile, measurements={**profile.measurements, "throughput": broken})
    step = replace(diagnosis.next_step, expected_speedup=SpeedUp(float("inf"), 1.0, 2.0))
    report = build_report(profile, replace(diagnosis, next_step=step), samples.ENDED_AT)
    document = json.loads(report_json.render(report))
    validate(document)
    assert "throughput" not in document["measurements"]
    assert document["next_step"]["expected_speedup"] is None
    assert any("throughput" in warning and "finite" in warning for warning in document["warnings"])


def test_secrets_and_control_characters_stay_out() -> None:
    profile = samples.profile()
    job = replace(profile.job, command="python t.py --api-key abc123secret \x1b[2Jx\udcff")
    text = report_json.render(build_report(replace(profile, job=job), samples.diagnosis(), samples.ENDED_AT))
    assert "abc123secret" not in text and "\\u001b" not in text
    text.encode("utf-8")
