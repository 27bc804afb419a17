"""The catalog's lists and entries for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mlscale.catalog.facts import Fact, Shown
from mlscale.catalog.types import Accelerator, FileSystem, Instance, Source
from mlscale.catalog.units import GB, GBIT, GIB, MB, TERA
from mlscale.report.layout import bullets, heading, indented, rendered, rows
from mlscale.report.words import quantity

_WIDE = 76  # columns from which a list shows all
_MORE = "mlscale catalog show NAME tells more."


def types(items: Sequence[Instance], region: str, warnings: Sequence[str], color: bool, width: int) -> str:
    """EC2 types with their on-demand prices in one region."""
    head = ("Type", "Accelerators", "vCPUs", "Memory", "Gbit/s", "NVMe", "USD/h")
    lines = []
    for item in items:
        price = item.on_demand.get(region)
        cells = (
            item.name,
            f"{item.accelerators:g} × {item.accelerator}" if item.accelerator else "none",
            str(item.vcpus),
            f"{item.memory_bytes / GIB:,.0f} GiB",
            f"{item.network_bytes_per_s / GBIT:g}",
            f"{item.nvme_bytes / GB:,.0f} GB" if item.nvme_bytes else "",
            "" if price is None else f"{'~' if price.derived else ''}{price.usd_per_hour:,.3f}",
        )
        lines.append((cells, "dim" if item.retired else ""))
    said = [f"Prices on demand in {region}; ~ is computed from another region's. Network: what lasts."]
    if any(item.retired for item in items):
        said.append("Dim: retired, AWS does not offer it any more.")
    table = _list(head, lines, (0, 1, 6), width)
    parts = [heading(f"EC2 types ({len(items)})"), table, Text(), _closing(" ".join(said))]
    if warnings:
        parts += [heading("Warnings"), bullets(warnings, mark_style="yellow")]
    return rendered(parts, color, width)


def accelerators(items: Sequence[Accelerator], color: bool, width: int) -> str:
    """Data sheets."""
    head = ("Accelerator", "Architecture", "Memory", "GB/s", "FP32", "16 bit", "FP8", "Link")
    lines = []
    for item in items:
        rate = {precision: f"{flops / TERA:,.0f}" for precision, flops in item.peak_flops.items()}
        cells = (
            item.name,
            item.architecture,
            f"{item.memory_bytes / GIB:,.0f} GiB",
            f"{item.memory_bytes_per_s / GB:,.0f}",
            rate.get("fp32", ""),
            rate.get("bf16") or rate.get("fp16", ""),
            rate.get("fp8", ""),
            f"{item.link_bytes_per_s / GB:,.0f}" if item.link_bytes_per_s else "",
        )
        lines.append((cells, ""))
    said = (
        "Dense peaks in TFLOP/s; 16 bit: BF16, or FP16 where there is no BF16. GB/s: of the memory. Link: GB/s in one "
        "direction to all peers together; without one, PCIe."
    )
    table = _list(head, lines, (0, 2, 5), width)
    return rendered([heading(f"Accelerators ({len(items)})"), table, Text(), _closing(said)], color, width)


def file_systems(items: Sequence[FileSystem], color: bool, width: int) -> str:
    """File systems, object stores and volumes."""
    head = ("File system", "Kind", "per TiB", "at most", "a client", "IOPS", "USD/GB-month")
    lines = []
    for item in items:
        cells = (
            item.name,
            item.kind,
            _mb(item.bytes_per_s_per_tib),
            _mb(item.max_bytes_per_s),
            _mb(item.client_bytes_per_s),
            f"{item.read_iops:,.0f}" if item.read_iops else "",
            f"{item.usd_per_gb_month:g}",
        )
        lines.append((cells, ""))
    said = "Reads in MB/s. Empty: no such limit, or none is published. Prices in us-east-1."
    table = _list(head, lines, (0, 4, 6), width)
    return rendered([heading(f"File systems ({len(items)})"), table, Text(), _closing(said)], color, width)


def entry(shown: Shown, color: bool, width: int) -> str:
    """One entry: each value with the number of its source, and the sources with their dates."""
    numbers: dict[Source, int] = {}
    listed = []
    for fact in shown.facts:
        number = numbers.setdefault(fact.source, len(numbers) + 1)
        said = Text.assemble((value(fact), "dim" if fact.value is None else "bold"), (f"  [{number}]", "dim"))
        if fact.derived:
            said.append("  computed, not seen", "yellow")
        listed.append((Text(fact.label), said))
    title = f"{shown.name} (retired: AWS does not offer it any more)" if shown.retired else shown.name
    parts: list[RenderableType] = [heading(title), rows(listed)]
    if shown.note:
        parts += [Text(), indented(Text(shown.note))]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for source, number in numbers.items():
        when = f" ({source.date}, {source.confidence} confidence)"
        grid.add_row(Text(f"[{number}]", "dim"), Text.assemble(source.name, (when, "dim")))
    return rendered([*parts, heading("Sources"), indented(grid)], color, width)


def value(fact: Fact) -> str:
    """A value for people, in the units that the field uses."""
    found, unit = fact.value, fact.shown_in or fact.unit
    if found is None:
        return "not published"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, tuple):
        return " ".join(found) or "no region"
    if isinstance(found, str):
        return f"{found} {unit}".strip()
    if unit == "GiB":
        return f"{found / GIB:,.5g} GiB"
    if unit == "Gbit/s":
        return f"{found / GBIT:g} Gbit/s"
    if unit == "FLOP/s":
        return f"{found / TERA:,.5g} TFLOP/s"
    if unit in ("USD", "USD/h", "USD per B/s"):
        return _usd(found * MB if unit == "USD per B/s" else found) + ("/h" if unit == "USD/h" else "")
    if unit in ("", "1/s", "×"):
        return f"{found:,.10g}{'/s' if unit == '1/s' else unit and f' {unit}'}"
    return quantity(found, unit)


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if round(amount, 2) == round(amount, 6) else f"${amount:,.6f}".rstrip("0")


def _mb(rate: float | None) -> str:
    return "" if rate is None else f"{rate / MB:,.0f}"


def _closing(said: str) -> RenderableType:
    return indented(Text(f"{said} {_MORE}", "dim"))


def _list(
    head: Sequence[str], lines: Iterable[tuple[Sequence[str], str]], kept: Sequence[int], width: int
) -> RenderableType:
    """A table; where it is narrow, only the columns `kept`. Names stand left, figures right; only the second column,
    what it has, is ever folded."""
    columns = range(len(head)) if width >= _WIDE else kept
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(justify="left" if column < 2 else "right", no_wrap=column != 1, overflow="fold")
    grid.add_row(*(Text(head[column], "bold") for column in columns))
    for cells, style in lines:
        grid.add_row(*(Text(cells[column]) for column in columns), style=style)
    return indented(grid)
