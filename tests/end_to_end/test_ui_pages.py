"""What people see in a browser: MLflow's pages and Optuna's dashboard of a small real study.

With HPSEARCH_SCREENSHOTS=FOLDER the pages are photographed there.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.settings import Settings
from search.study import find_study
from search.tracking import views
from tests.end_to_end import commands
from tests.end_to_end.browser import Page, chromium, needs_chromium
from tests.end_to_end.test_serving import wait_for
from tests.ports import free_port

pytestmark = needs_chromium

SEARCH = (
    *("search", "digits", "--trials", "4", "--epochs", "10", "--finalists", "0"),
    *("--precision", "float32", "--set", "family=cnn"),
)


@dataclass(frozen=True)
class Served:
    """A study and the addresses of what shows it."""

    folder: Path
    mlflow: str
    dashboard: str
    experiment: str
    parent: str
    best: str
    best_number: int


@contextlib.contextmanager
def serving(folder: Path, command: str, path: str) -> Iterator[str]:
    """The address of what `hpsearch <command>` serves, once `path` answers there."""
    port, log = free_port(), folder / f"{command}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "search", command, "--port", str(port)],
            cwd=folder,
            env=commands.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}{path}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    commands.run(folder, *SEARCH)
    (parent,) = [r for r in commands.runs(folder, "digits") if r.data.tags["stage"] == "study"]
    best = commands.leaderboard(folder, "digits")[0]["trial"]
    with (
        serving(folder, "ui", "/health") as mlflow,
        serving(folder, "dashboard", "/api/studies") as dashboard,
    ):
        run = commands.trials(folder, "digits")[best]
        yield Served(
            folder, mlflow, dashboard, run.info.experiment_id, parent.info.run_id,
            run.info.run_id, best,
        )  # fmt: skip


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium(width=2000) as opened:
        # Else it opens a panel of its own at the first visit.
        seen = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
        opened.call("Page.addScriptToEvaluateOnNewDocument", source=seen)
        yield opened


def photograph(page: Page, name: str) -> None:
    folder = os.environ.get("HPSEARCH_SCREENSHOTS")
    if folder:
        page.screenshot(Path(folder, f"{name}.png"))


def test_trials_nest_under_their_study(served: Served, page: Page) -> None:
    page.open(f"{served.mlflow}/#/experiments/{served.experiment}/runs")
    name = commands.client(served.folder).get_run(served.parent).info.run_name
    page.wait_for_text(str(name))
    photograph(page, "experiment")
    assert "t000" not in page.text()
    page.evaluate("document.querySelector('[data-component-id*=runnamecell]').click()")
    page.wait_for_text("t000")
    photograph(page, "nested")


def test_the_saved_view_shows_the_columns_that_matter(served: Served, page: Page) -> None:
    page.open(f"{served.mlflow}/{views.address(served.experiment, views.TRIALS)}")
    for column in ("best_val_accuracy", "n_parameters", "stop_reason", "learning_rate"):
        page.wait_for_text(column)
    page.wait_for_text(f"t{served.best_number:03d}")
    photograph(page, "view")
    first = page.evaluate("document.querySelector('[row-index=\"0\"]').innerText")
    assert f"t{served.best_number:03d}" in first
    page.open(f"{served.mlflow}/{views.address(served.experiment, views.TRIALS, charts=True)}")
    page.wait_for_text("n_parameters vs. best_val_accuracy")
    page.wait_for("document.querySelectorAll('.js-plotly-plot').length > 0")
    photograph(page, "charts")


def test_a_run_shows_its_description_its_study_and_its_pictures(
    served: Served, page: Page
) -> None:
    start = f"{served.mlflow}/#/experiments/{served.experiment}/runs"
    page.open(f"{start}/{served.parent}")
    page.wait_for_text("Child runs")
    page.wait_for_text("Hyperparameter search for digits. Look at: trials, best first")
    photograph(page, "study")
    page.open(f"{start}/{served.best}")
    page.wait_for_text("Parent run")
    page.wait_for_text("Best at epoch")
    photograph(page, "trial")
    page.open(f"{start}/{served.best}/artifacts")
    page.wait_for_text("layers.png")
    named = "[...document.querySelectorAll('*')].filter(e => e.textContent.trim() == 'layers.png')"
    page.evaluate(f"{named}.pop().click()")
    page.wait_for("[...document.images].some(image => image.naturalWidth > 500)")
    photograph(page, "artifact")


def test_the_dashboard_shows_the_study_and_its_notes(served: Served, page: Page) -> None:
    study = find_study(Settings(runs_dir=served.folder / "mlruns"), "digits", None)
    start = f"{served.dashboard}/dashboard/studies/{study._study_id}"
    page.open(start)
    page.wait_for_text(study.study_name)
    page.wait_for("document.querySelectorAll('.js-plotly-plot').length > 0")
    photograph(page, "dashboard")
    page.open(f"{start}/trials?numbers={served.best_number}")
    page.wait_for_text("Best at epoch")
    link = "[...document.links].map(link => link.href).find(href => href.includes('#/runs/'))"
    assert page.evaluate(link) == f"http://127.0.0.1:5000/#/runs/{served.best}"
    photograph(page, "note")
