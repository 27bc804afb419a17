"""The page in a real headless Chromium: it loads without a word, asks for nothing, sorts, turns dark, fits a phone, prints.

Needs Debian's `chromium` (apt-get install chromium); `scripts/test.sh` installs it.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import browser
import golden
import hostile
import pytest
import samples_plan
from PIL import Image
from test_html import PAGES, of

PHONE, DESK = 375, 1180


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    assert browser.installed(), "no Chromium here: apt-get install chromium"
    with browser.browser() as page:
        yield page


def shown(chromium: browser.Browser, folder: Path, report: object, width: int = DESK, scheme: str = "light") -> None:
    path = folder / "report.html"
    path.write_text(of(report), "utf-8")
    chromium.size(width, 900)
    chromium.scheme(scheme)
    chromium.open(path)


def quiet(chromium: browser.Browser) -> None:
    """No error, no console line, and no request but for the page itself."""
    assert chromium.complaints() == []
    assert [url for url in chromium.requests() if not url.endswith("/report.html")] in ([], ["data:,"])


@pytest.mark.parametrize("name", PAGES)
def test_it_loads_without_errors_and_requests(chromium: browser.Browser, tmp_path: Path, name: str) -> None:
    shown(chromium, tmp_path, PAGES[name]())
    quiet(chromium)
    assert chromium.run("document.compatMode") == "CSS1Compat"
    assert chromium.run("document.querySelectorAll('h1').length") == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_it_without_scrolling_sideways(chromium: browser.Browser, tmp_path: Path, name: str) -> None:
    for report in (PAGES[name](), hostile.poisoned(PAGES[name](), hostile.EVIL + "x" * 400)):
        shown(chromium, tmp_path, report, width=PHONE)
        chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert chromium.run("document.documentElement.scrollWidth") == PHONE
        assert chromium.run("document.documentElement.clientWidth") == PHONE
        quiet(chromium)


def test_no_script_of_the_job_runs(chromium: browser.Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, hostile.poisoned(golden.report_of("two_ranks")))
    quiet(chromium)
    assert chromium.run("document.scripts.length") == 1
    assert chromium.run("document.images.length") == 0
    assert hostile.EVIL.split(" | ")[0] in chromium.run("document.body.innerText")


def test_the_policy_stops_what_slips_through(chromium: browser.Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    evil = "<img src='https://e.vil/p.png'><script>document.title = 'run'</script></main>"
    path.write_text(of(golden.report_of("no_workers")).replace("</main>", evil), "utf-8")
    chromium.open(path)
    assert chromium.run("document.title") != "run"
    assert sum("Content Security Policy" in line for line in chromium.complaints()) == 2


def column(chromium: browser.Browser, place: int) -> list[str]:
    cell = f"r.cells[{place}]"
    script = f"[...document.querySelectorAll('.sortable tbody tr')].map(r => {cell}.dataset.v ?? {cell}.textContent)"
    return list(chromium.run(script))


def test_candidates_sort_on_a_click(chromium: browser.Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, samples_plan.plan())
    first = column(chromium, 3)
    costs = [float(value) for value in first]
    assert costs != sorted(costs)
    cost, instance = "table.sortable th:nth-child(4) button", "table.sortable th:nth-child(2) button"
    chromium.click(cost)
    assert [float(value) for value in column(chromium, 3)] == sorted(costs)
    assert chromium.run("document.querySelector('th[aria-sort]').textContent.trim()") == "cost"
    chromium.click(cost)
    assert [float(value) for value in column(chromium, 3)] == sorted(costs, reverse=True)
    assert chromium.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    chromium.click(cost)  # back to the order that it came in
    assert column(chromium, 3) == first
    chromium.click(instance)
    names = column(chromium, 1)
    assert names == sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
    chromium.run("document.querySelector('table.sortable th:nth-child(5) button').focus()")
    for kind in ("keyDown", "keyUp"):
        chromium.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r" if kind == "keyDown" else "",
        )
    hours = [float(value) for value in column(chromium, 4)]
    assert hours == sorted(hours)
    quiet(chromium)


def test_it_works_without_scripts(chromium: browser.Browser, tmp_path: Path) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        shown(chromium, tmp_path, samples_plan.plan())
        data = pixels(chromium, tmp_path)
        assert len(data.resize((40, 40)).getcolors() or []) > 20
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def pixels(chromium: browser.Browser, folder: Path) -> Image.Image:
    path = folder / "shot.png"
    chromium.screenshot(path, whole=False)
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


@pytest.mark.parametrize("name", ["a_healthy_job_after_a_slo", "plan"])
def test_light_and_dark(chromium: browser.Browser, tmp_path: Path, name: str) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        shown(chromium, tmp_path, PAGES[name](), scheme=scheme)
        grounds[scheme] = sum(pixels(chromium, tmp_path).getpixel((5, 5)))  # type: ignore[arg-type]
        quiet(chromium)
    assert grounds["light"] == 3 * 255 and grounds["dark"] < 120
    # No colour stays from the other scheme: each text stands apart from its ground.
    assert chromium.run(_LEAST_CONTRAST) >= 4.5


_LEAST_CONTRAST = """(() => {
  const light = c => { const v = c.map(x => x / 255).map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
  let least = 99;
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.closest('script, svg')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((x, y) => x - y);
    least = Math.min(least, (b + 0.05) / (a + 0.05));
  }
  return least;
})()"""


@pytest.mark.parametrize("name", ["no_workers", "plan", "diff"])
def test_it_prints(chromium: browser.Browser, tmp_path: Path, name: str) -> None:
    shown(chromium, tmp_path, PAGES[name](), scheme="dark")
    data = chromium.pdf()
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 1 <= pages <= 12
    # Dark screens print on white: no page begins with a dark rectangle over all of it.
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\r?\n(x.*?)\r?\nendstream", data, re.S) if s[:1] == b"x"]
    assert not any(re.match(rb".{0,200}0?\.06\d* 0?\.08\d* 0?\.1\d* rg", s, re.S) for s in streams)


def test_paper_has_no_folds(chromium: browser.Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, golden.report_of("no_workers"))
    folds = "[...document.querySelectorAll('details')].map(d => d.open)"
    assert chromium.run(folds) == [False]
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    assert chromium.run(folds) == [True]
    chromium.run("dispatchEvent(new Event('afterprint'))")
    assert chromium.run(folds) == [False]


def test_the_timeline_is_drawn(chromium: browser.Browser, tmp_path: Path) -> None:
    """Each track has an area that is neither nothing nor all of its place; the phase that was left out is shaded."""
    shown(chromium, tmp_path, golden.report_of("a_healthy_job_after_a_slo"))
    lanes = chromium.run(
        "[...document.querySelectorAll('.lane')].map(l => [l.querySelector('.what').firstChild.textContent, "
        "l.querySelector('svg').getBoundingClientRect().width, "
        "[...l.querySelectorAll('.area')].map(a => a.getBBox().width * a.getBBox().height), l.querySelectorAll('.out').length])"
    )
    names = [lane[0] for lane in lanes]
    assert names == ["GPU busy", "Training thread", "Loader workers", "Throughput", "Read from the store", "CPU used"]
    for _, width, areas, shaded in lanes:
        assert width > 400 and max(areas) > 1000 and shaded == 1
    assert "warm-up, left out" in chromium.run("document.querySelector('.axis').textContent")
