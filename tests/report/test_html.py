"""The page as text: whole, quiet, in order, and nothing from the job in it is markup."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import golden
import hostile
import pytest
import samples_plan
from test_markdown import KINDS, many_gpus

from mlscale.profile.series import Track
from mlscale.report.formats import render

_VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags in order, headings, texts; `wrong` names what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


def of(report: object) -> str:
    return render(report, "html", False, 80)  # type: ignore[arg-type]


PAGES = {**KINDS, **{name: (lambda name=name: golden.report_of(name)) for name in golden.RUNS}}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_sound(name: str) -> None:
    page = Page(of(PAGES[name]()))
    assert page.wrong == [] and page.open == []
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False)), (
        page.headings
    )
    by_tag = dict(page.tags)
    assert by_tag["html"]["lang"] == "en"
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and len(attrs["aria-label"] or "") > 8)
        if attrs.get("aria-labelledby"):
            assert attrs["aria-labelledby"] in ids
        if tag == "th":
            assert attrs["scope"] == "col"


@pytest.mark.parametrize("name", PAGES)
def test_it_is_one_small_file_that_asks_for_nothing(name: str) -> None:
    text = of(PAGES[name]())
    assert len(text.encode()) < 500_000
    assert not re.search(
        r"""(?:src|href|action|url)\s*[=(]\s*["']?(?!data:,)[a-z/.]""", text.replace("default-src", ""), re.I
    )
    assert (
        "@import" not in text
        and "//" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S).partition("<body>")[0]
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_hostile_report_keeps_its_shape(name: str) -> None:
    text = of(hostile.poisoned(PAGES[name]()))
    page = Page(text)
    assert page.wrong == [] and page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "a", "b-x"}
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    seen = " ".join("".join(page.text).split())
    assert " ".join(hostile.EVIL.split()) in seen


def test_only_our_script_may_run() -> None:
    text = of(golden.report_of("no_workers"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    script = re.search(r"<script>(.*?)</script>", text, re.S)
    assert policy and script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1] and "default-src 'none'" in policy[1]


def test_a_cluster_still_makes_a_small_page() -> None:
    assert len(of(many_gpus(16384)).encode()) < 500_000


def test_tracks_of_any_length_are_drawn() -> None:
    """A file that somebody else wrote may hold a million bins, or none."""
    report = golden.report_of("no_workers")
    assert report.kind == "diagnosis" and report.series and report.series.training
    for size in (0, 1, 119, 121, 100_000):
        track = Track(16.0 / max(1, size), tuple(0.5 if i % 7 else None for i in range(size)))
        shares = replace(report.series.training, bin_s=track.bin_s, parts={"data": track.values, "x<y": track.values})
        series = replace(report.series, gpu_busy_fraction=track, training=shares, batches_per_s=track)
        for format in ("html", "markdown", "jira"):
            text = render(replace(report, series=series), format, False, 80)
            assert len(text) < 100_000


@pytest.mark.parametrize("why", ["Its accelerators are the limit.", hostile.EVIL * 5])
def test_hundreds_of_candidates_still_make_a_small_page(why: str) -> None:
    plan = samples_plan.plan()
    many = tuple(replace(plan.candidates[i % 30], why=why, loader_workers=i) for i in range(900))
    text = of(replace(plan, candidates=many))
    assert len(text.encode()) < 500_000
    rows = text.count("<tr") - 1
    assert "more in the JSON" in text and rows >= 60
    assert "meets goal" in text and 'class="next"' in text.replace("class=next", 'class="next"')


def test_the_first_screen_answers() -> None:
    page = of(golden.report_of("no_workers"))
    header = re.search(r"<header>(.*?)</header>", page, re.S)
    assert header
    for said in (
        "The GPU waits 51% of the time",
        "loader workers",
        "high confidence (97%)",
        "num_workers=2",
        "1.83×",
        "1.71 – 1.94×",
    ):
        assert said in header[1]


def _light(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """WCAG 2's ratio."""
    dark, light = sorted((_light(one), _light(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_told_apart_from_their_ground(scheme: str) -> None:
    """WCAG AA: 4.5 for text, 3 for what is drawn. What is idle is meant to stand back."""
    css = files("mlscale.report").joinpath("assets", "page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    for text in ("ink", "dim", "accent", "bad", "calm"):
        assert contrast(colors[text], colors["bg"]) >= 4.5, text
    for text in ("ink", "dim", "accent"):
        assert contrast(colors[text], colors["accent-soft"]) >= 4.5, text
    drawn = [name for name in colors if name.startswith("c-") and name != "c-idle"]
    assert len(drawn) == 8
    for name in drawn:
        assert contrast(colors[name], colors["bg"]) >= 3, name
