"""The report of a small real study, as a browser shows it.

With HPSEARCH_SCREENSHOTS=FOLDER it is photographed there.
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import commands
from tests.end_to_end.browser import Page, chromium, needs_chromium

pytestmark = needs_chromium

SEARCH = (
    *("search", "digits", "--trials", "22", "--epochs", "6", "--finalists", "0"),
    *("--precision", "float32", "--set", "family=mlp", "layers=0..1", "batch_size=64..128"),
)
SHOWN = "[...document.querySelectorAll('.plot')].filter(b => !b.closest('details:not([open])'))"
ALL_DRAWN = f"{SHOWN}.length > 0 && {SHOWN}.every(box => box.querySelector('.main-svg'))"
WIDE = (
    "[...document.querySelectorAll('main *, header *')].filter(e =>"
    " e.getBoundingClientRect().right > innerWidth + 1 && e.closest('.scroll, svg, pre') === null"
    " && e.offsetParent !== null).map(e => e.outerHTML.slice(0, 200))"
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    commands.run(folder, *SEARCH)
    said = commands.run(folder, "report", "digits")
    assert "report.html in the study's run in MLflow" in said
    return folder / "reports" / "digits.html"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def resize(page: Page, size: str) -> None:
    width, height = SIZES[size]
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=size == "phone",
    )


def colours(page: Page, scheme: str, media: str = "screen") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", media=media, features=features)


def photograph(page: Page, name: str) -> None:
    folder = os.environ.get("HPSEARCH_SCREENSHOTS")
    if not folder:
        return
    height = page.evaluate("document.documentElement.scrollHeight")
    width = page.evaluate("innerWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    answer = page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    Path(folder, f"{name}.png").write_bytes(base64.b64decode(answer["data"]))


def test_the_report_is_in_the_studys_run(report: Path) -> None:
    folder = report.parent.parent
    (parent,) = [r for r in commands.runs(folder, "digits") if r.data.tags["stage"] == "study"]
    assert "report.html" in commands.artifact_names(folder, parent.info.run_id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_plot_draws_and_nothing_is_too_wide(
    report: Path, page: Page, size: str, scheme: str
) -> None:
    resize(page, size)
    colours(page, scheme)
    page.open(report.as_uri())
    page.wait_for(f"document.readyState === 'complete' && {ALL_DRAWN}")
    photograph(page, f"report-{size}-{scheme}")
    assert page.errors == []
    assert page.evaluate(WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert page.evaluate(f"{SHOWN}.length") >= 5


def test_what_is_folded_draws_when_it_is_opened(report: Path, page: Page) -> None:
    resize(page, "phone")
    page.open(report.as_uri())
    page.wait_for(f"document.readyState === 'complete' && {ALL_DRAWN}")
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    page.wait_for(f"{SHOWN}.length === document.querySelectorAll('.plot').length && {ALL_DRAWN}")
    assert page.errors == []
    assert page.evaluate(WIDE) == []


def test_the_links_lead_to_their_sections(report: Path, page: Page) -> None:
    resize(page, "desktop")
    page.open(report.as_uri())
    page.wait_for(f"document.readyState === 'complete' && {ALL_DRAWN}")
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(links) >= 7
    for link in set(links):
        assert link.startswith("#")
        place = f"document.querySelector({link!r}).getBoundingClientRect().top"
        # At once: a smooth way there takes its time.
        page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        page.evaluate(f"document.querySelector('a[href=\"{link}\"]').click()")
        at_the_end = "innerHeight + scrollY >= document.documentElement.scrollHeight - 2"
        page.wait_for(f"Math.abs({place}) < 120 || {at_the_end}")


def test_without_scripts_there_are_still_pictures(report: Path, page: Page) -> None:
    resize(page, "desktop")
    colours(page, "light")
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(report.as_uri())
        page.wait_for("document.readyState === 'complete'")
        shown = "[...document.querySelectorAll('.still')].filter(s => s.getBoundingClientRect().width > 200)"
        assert page.evaluate(f"{shown}.length") >= 5
        assert page.evaluate("document.querySelectorAll('.main-svg').length") == 0
        photograph(page, "report-stills")
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_on_paper_there_are_still_pictures_in_light_colours(report: Path, page: Page) -> None:
    resize(page, "desktop")
    colours(page, "dark", media="print")
    page.open(report.as_uri())
    page.wait_for(
        "document.readyState === 'complete' && document.querySelector('.drawn') !== null"
    )
    visible = "getComputedStyle(document.querySelector('{}')).display"
    assert page.evaluate(visible.format(".plot.drawn")) == "none"
    assert page.evaluate(visible.format(".plot.drawn + .still")) == "block"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    photograph(page, "report-print")
    colours(page, "light")
