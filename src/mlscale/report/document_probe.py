"""A probe as a document: the figures, each setting that was tried, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable

from mlscale.measure import Measurement
from mlscale.report import words
from mlscale.report.charts import Range, Ranges
from mlscale.report.document import (
    Bullets,
    Cell,
    Column,
    Document,
    Figure,
    Picture,
    Row,
    Said,
    Section,
    Table,
    code,
    line,
    plain,
    said,
    shortened,
    strong,
)
from mlscale.report.document_diagnosis import raw_measurements
from mlscale.report.probe import Probe
from mlscale.report.sentences import made
from mlscale.report.timeline import round_top

_LONGEST_NAME = 30  # characters beside a bar
_TITLES = {"storage": "A store by itself", "loader": "A loader by itself", "step": "A training step by itself"}
_RATES = ("store_bytes_per_s", "throughput", "batch_rate", "step_rate")  # the first that there is, is shown first


def document(probe: Probe) -> Document:
    """The whole report."""
    return Document(
        title=_TITLES[probe.of],
        subject=f"{probe.of} {probe.target} on {probe.host.hostname or 'this machine'}",
        headline=probe.headline,
        tone="calm" if probe.measurements and probe.limited else "unsure",
        summary=tuple(_summary(probe)),
        sections=tuple(section for section in _sections(probe) if section.blocks),
        made=made(probe.tool, probe.created_at),
    )


def _summary(probe: Probe) -> Iterable[Said]:
    if not probe.measurements:
        yield Said("Measured", line("nothing"))
    main = next((name for name in _RATES if name in probe.measurements), None)
    for name, figure in probe.measurements.items():
        shown, interval = words.figure(figure), words.interval(figure)
        note = f"90% interval {interval}" if interval else ""
        large = Figure(shown, words.label(name), note) if name == main else None
        yield Said(words.label(name), line(strong(shown), f" ({note})" if note else ""), large)


def _sections(probe: Probe) -> Iterable[Section]:
    if probe.warnings:
        yield Section("Also note", (Bullets(tuple(said(text) for text in probe.warnings)),))
    if len(probe.trials) > 1:
        yield Section("What was tried", (_picture(probe), _trials(probe)))
    if probe.because:
        yield Section("Evidence", (Bullets(tuple(said(text) for text in probe.because)),))
    if probe.measurements:
        yield Section("Raw numbers", (raw_measurements(probe.measurements),), fold="always")


def _picture(probe: Probe) -> Picture:
    name = next(name for name in _RATES if name in probe.trials[0].measurements)
    rows, unit = [], ""
    for trial in probe.trials:
        m = trial.measurements[name]
        unit = m.unit
        tone = "next" if trial.chosen else ""
        rows.append(
            Range(plain(shortened(line(trial.setting), _LONGEST_NAME)), m.value, m.low, m.high, words.figure(m), tone)
        )
    told = ", ".join(f"{row.name} {row.label}" for row in rows)
    top = round_top(max(row.high for row in rows))
    return Picture(Ranges(words.label(name), f"{words.label(name)}: {told}.", unit, tuple(rows), top))


def _trials(probe: Probe) -> Table:
    names = list(dict.fromkeys(name for trial in probe.trials for name in trial.measurements))
    rows = tuple(
        Row(
            (Cell(line(code(trial.setting))), *(_cell(trial.measurements.get(name)) for name in names)),
            "next" if trial.chosen else "",
        )
        for trial in probe.trials
    )
    columns = (Column("tried"), *(Column(words.lower_first(words.label(name)), figures=True) for name in names))
    return Table("What was tried", columns, rows, sortable=True)


def _cell(measurement: Measurement | None) -> Cell:
    if measurement is None:
        return Cell(line("–"))
    return Cell(line(words.figure(measurement)), measurement.value)
