"""The report's page: its answer and its sections, whatever is missing."""

import base64
import html
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from rich.console import Console

from pipelines.tasks import TASKS
from search.evaluation.ledger import Opening, Score, write_opened, write_scored
from search.report.page import make_report
from search.report.searched import overrides_from, search_command, searched_space
from search.report.words import clock, listed, metric_name, pair, signed
from search.settings import Settings
from search.tracking.reading import RunReader
from spaces.domains import Choice, Float
from spaces.presets import PRESETS
from spaces.space import Space
from spaces.spaces import SPACES
from tests.fake_engine import flat
from tests.fakes import SPACE, TASK, new_study
from tests.search.report.known import SPACE as KNOWN_SPACE
from tests.search.report.known import add, study_of
from tests.search.report.searches import FAILED, KNOWN, retrain, searched

SECTIONS = ["answer", "glance", "hyperparameters", "learning", "mistakes", "audit", "unknown"]
PNG = base64.b64encode(b"\x89PNG a picture").decode()


class Page:
    """A report as it was written, and what a reader sees of it."""

    def __init__(self, path: Path) -> None:
        self.source = path.read_text()
        outside = re.sub(r"<(script|style).*?</\1>", "", self.source, flags=re.DOTALL)
        self.markup = outside
        self.text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", outside)).split())

    def section(self, name: str) -> str:
        return self.markup.split(f'<section id="{name}">')[1].split("</section>")[0]

    @property
    def plots(self) -> list[dict[str, Any]]:
        found = re.findall(r'<script type="application/json">(.*?)</script>', self.source)
        return [json.loads(each) for each in found]


def made(study: optuna.Study, folder: Path, task: Any = TASK, **settings: Any) -> Page:
    where = Settings(runs_dir=folder / "mlruns", **settings)
    return Page(make_report(task, where, study, Console(file=io.StringIO()), folder / "page.html"))


def check(page: Page) -> None:
    """What holds of every page."""
    assert re.findall(r'<section id="(\w+)">', page.markup) == SECTIONS
    ids = re.findall(r' id="([^"]+)"', page.markup)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'href="#([^"]+)"', page.markup)
    assert set(anchors) <= set(ids)
    assert (
        len(page.plots) == page.markup.count('class="plot"') == page.markup.count('class="still"')
    )
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page.markup)
    sentences = page.text.replace("None of", "").replace("None was", "")
    for lost in ("None", "nan", "{{", "{%"):
        assert not re.search(rf"(?<!\w){re.escape(lost)}(?!\w)", sentences), lost


def failed(folder: Path) -> optuna.Study:
    return searched(folder, 3, faults=FAILED)


def diverged(folder: Path) -> optuna.Study:
    return searched(folder, 4, curve=lambda _: [float("nan")] * 100)


def one(folder: Path) -> optuna.Study:
    return searched(folder, 1)


def interrupted(folder: Path) -> optuna.Study:
    return searched(folder, 30, stop_at=8)


def crashed(folder: Path) -> optuna.Study:
    study = searched(folder, 5)
    study.ask()
    return study


def empty(_: Path) -> optuna.Study:
    return new_study()


def just_asked(_: Path) -> optuna.Study:
    study = new_study()
    study.ask()
    return study


def all_equal(folder: Path) -> optuna.Study:
    return searched(folder, 30, curve=lambda _: [0.5] * 100)


def many(folder: Path) -> optuna.Study:
    return searched(folder, 40)


@pytest.mark.parametrize(
    ("study_in", "told"),
    [
        (empty, "no trial of study fake-study has begun"),
        (just_asked, "no trial of study fake-study has begun"),
        (failed, "of 3 trials none has completed"),
        (failed, "the command that began the search goes on with them"),
        (diverged, "of 4 trials none has completed"),
        (one, "The winner is t000"),
        (
            interrupted,
            "interrupted when the search ended: the command that began the search goes on",
        ),
        (crashed, "The search is not over: 1 trial had not ended"),
        (all_equal, "same score"),
        (many, "The winner is t0"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_every_study_has_a_page(
    tmp_path: Path, study_in: Callable[[Path], optuna.Study], told: str
) -> None:
    page = made(study_in(tmp_path), tmp_path)
    check(page)
    assert told in page.text


def test_the_page_goes_where_it_is_told_and_nothing_else_is_left(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "er" / "a page.html"
    said = io.StringIO()
    found = make_report(
        TASK,
        Settings(runs_dir=tmp_path / "no runs"),
        new_study(),
        Console(file=said, width=200),
        output,
    )
    assert found == output
    assert [path.name for path in output.parent.iterdir()] == ["a page.html"]
    assert "a page.html" in said.getvalue()
    assert not (tmp_path / "no runs").exists()


def test_plotly_is_there_once(tmp_path: Path) -> None:
    page = made(new_study(), tmp_path)
    assert page.source.count("plotly.js v") == 1


def test_without_mlflow_the_page_says_what_it_lacks(tmp_path: Path) -> None:
    page = made(searched(tmp_path, 5), tmp_path)
    assert "There is no MLflow record at" in page.text
    assert "There are no files on the mistakes" in page.section("mistakes")


def test_an_mlflow_that_does_not_answer_is_no_end(tmp_path: Path) -> None:
    page = made(searched(tmp_path, 5), tmp_path, tracking_uri="http://127.0.0.1:9")
    assert "Nothing answers at the MLflow address" in page.text


def test_finalists_decide_the_answer(tmp_path: Path) -> None:
    study = searched(tmp_path, 12, curve=flat({n: 0.5 + n / 100 for n in range(12)}))
    best = max(t.number for t in study.get_trials() if t.value is not None)
    other = sorted(t.number for t in study.get_trials() if t.value is not None)[-2]
    retrain(study, best, [0.50, 0.51, 0.49])
    retrain(study, other, [0.60, 0.61, 0.59])
    page = made(study, tmp_path)
    check(page)
    assert f"The winner is t{other:03d}" in page.text
    assert (
        "Trained again on 3 fresh seeds, its validation accuracy is 0.6000 (95 % interval"
        in page.text
    )
    assert "the search flattered it" in page.text


def test_the_only_trial_is_said_to_promise_too_much(tmp_path: Path) -> None:
    page = made(searched(tmp_path, 1), tmp_path)
    assert "as that score chose it, it promises too much" in page.text


def test_a_known_effect_is_shown_with_its_command(tmp_path: Path) -> None:
    study = study_of(lambda values: 0.9 - 0.5 * float(values.get("dropout", 0.0)) ** 2, 120)
    page = made(study, tmp_path, KNOWN)
    check(page)
    found = page.section("hyperparameters")
    assert 'id="of-dropout"' in found.split("<details")[0]
    command = html.unescape(re.findall(r"<pre><code>(.*?)</code>", found)[0])
    assert command.startswith("hpsearch search fake --set")
    overrides = command.split(" --set ")[1].split()
    assert any(override.startswith("dropout=") for override in overrides)
    KNOWN_SPACE.narrow(overrides)


def test_where_nothing_matters_no_effect_is_claimed(tmp_path: Path) -> None:
    page = made(study_of(lambda _: 0.9, 60, seed=3), tmp_path, KNOWN)
    found = page.section("hyperparameters")
    assert found.index("<details") < found.index('class="card"')


def test_the_ledger_is_shown_with_its_count(tmp_path: Path) -> None:
    study = searched(tmp_path, 3)
    opening = Opening("fake", study.study_name, "accuracy", "abc")
    for _ in range(2):
        opened = write_opened(tmp_path / "mlruns", opening)
    scored = Opening(**{**vars(opened), "scores": {"accuracy": Score((0.81, 0.83))}})
    write_scored(tmp_path / "mlruns", scored)
    page = made(study, tmp_path)
    assert "Test accuracy 0.8200 (2 seeds), opened 2 times for this study." in page.text


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            "mnist",
            "the tutorials report up to 99.39 % on the test rows (mnist_conv_net_batch_norm)",
        ),
        ("churn", "the tutorials report 86.34 % train: no figure of unseen rows"),
        ("iris", "the tutorials report no figure to compare with"),
    ],
)
def test_what_the_tutorials_report(tmp_path: Path, task: str, told: str) -> None:
    study = new_study()
    study.set_user_attr("task", task)
    study.set_user_attr("metric", TASKS[task].goal.metric)
    preset = next(p for p in PRESETS.values() if p.task == task)
    config = preset.config.model_dump(mode="json", exclude_none=True)
    add(study, 0.8, config=config)
    page = made(study, tmp_path, TASKS[task])
    check(page)
    assert told in page.text


class Files(RunReader):
    """Runs whose artifacts are known."""

    def __init__(self, files: Mapping[tuple[str, str], bytes]) -> None:
        self.lacks, self._files = "", files

    def read(self, run_id: str, name: str) -> bytes | None:
        return self._files.get((run_id, name))

    def study_run(self, task: str, study: str) -> tuple[str, dict[str, str]]:
        return "the parent", {"command": "hpsearch search fake --trials 3"}

    def attach(self, run_id: str, file: Path, name: str) -> bool:
        return False


MISTAKES: dict[str, Any] = {
    "n_validation": 100,
    "n_wrong": 7,
    "worst": [{"row": 3, "true": "no", "predicted": "yes", "confidence": 0.97}],
    "confusion": [[50, 2], [5, 43]],
    "class_names": ["no", "yes"],
    "calibration": [{"confidence": 0.9, "accuracy": 0.93, "n": 100}],
    "slices": {},
}
OF_IMAGES = {**MISTAKES, "worst": [{**MISTAKES["worst"][0], "picture": PNG}]}
OF_TABLES = {
    **MISTAKES,
    "worst": [{**MISTAKES["worst"][0], "values": {"Country": "<Spain>", "Age": 41}}],
    "slices": {
        "Age (years)": [
            {"value": "under 30", "n": 50, "error": 0.1},
            {"value": "30 and more", "n": 50, "error": 0.04},
        ]
    },
}


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        ({"mistakes.json": json.dumps(OF_IMAGES).encode()},
         ["7 rows wrong (7.00 %)", "97 %", f"base64,{PNG}", "Confusion matrix", "no, taken for yes"]),
        ({"mistakes.json": json.dumps(OF_TABLES).encode()},
         ["&lt;Spain&gt;", "Mistakes by group", "under 30 (50)"]),
        ({"classification_report.txt": b"precision & recall", "confusion_matrix.png": base64.b64decode(PNG)},
         ["precision &amp; recall", f"base64,{PNG}"]),
    ],
    ids=["images", "tables", "an older run"],
)  # fmt: skip
def test_mistakes_are_shown_as_far_as_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], shown: list[str]
) -> None:
    study = searched(tmp_path, 1)
    stored = Files({("run-0", name): content for name, content in files.items()})
    monkeypatch.setattr("search.report.page.RunReader", lambda *_: stored)
    page = made(study, tmp_path)
    check(page)
    for each in shown:
        assert each in page.section("mistakes")
    assert "Searched with hpsearch search fake --trials 3" in page.text


def test_the_space_of_a_study_is_read_from_its_trials() -> None:
    study = new_study()
    narrow = SPACES["churn"].narrow(
        ["l2=0..1e-3", "dropout=0.1..0.3", "units_1=8,16", "layers=1..2", "l1=1e-5..1e-3"]
    )
    narrow.sample(study.ask(), TASKS["churn"].training)
    found = searched_space(study, SPACES["churn"])
    assert {n: d.text() for n, d in found.domains.items()} == {
        n: d.text() for n, d in narrow.domains.items()
    }
    assert found.domains["dropout"].about == SPACES["churn"].domains["dropout"].about
    overrides = overrides_from(SPACES["churn"], found)
    assert set(overrides) == {"l2", "dropout", "units_1", "layers", "l1"}
    again = SPACES["churn"].narrow(overrides.values())
    assert {n: d.text() for n, d in again.domains.items()} == {
        n: d.text() for n, d in narrow.domains.items()
    }


@pytest.mark.parametrize("task", sorted(SPACES))
def test_a_whole_space_is_read_as_it_is(task: str) -> None:
    study = new_study()
    SPACES[task].sample(study.ask(), TASKS[task].training)
    found = searched_space(study, SPACES[task])
    assert found == SPACES[task]
    assert overrides_from(SPACES[task], found) == {}


def test_a_study_of_an_older_space_keeps_its_own_ranges() -> None:
    old = SPACE.replace(learning_rate=Float(1e-6, 1.0, log=True), dropout=Float(0.0, 0.5))
    study = new_study()
    old.sample(study.ask(), TASK.training)
    found = searched_space(study, SPACE)
    assert found.domains["learning_rate"].text() == "1e-06..1 (log)"
    assert "dropout" in found.domains
    assert "learning_rate" not in overrides_from(SPACE, found)


def test_a_hyperparameter_that_no_longer_exists_gives_way_to_the_space_of_today() -> None:
    study = new_study()
    study.ask().suggest_float("temperature", 0, 1)
    assert searched_space(study, SPACE) == SPACE
    assert searched_space(new_study(), SPACE) == SPACE


def test_a_space_without_a_zero_is_no_space_with_one() -> None:
    today = Space("fake", {**SPACE.domains, "l2": Float(1e-6, 1e-2, log=True, zero=True)})
    study = new_study()
    trial = study.ask()
    SPACE.sample(trial, TASK.training)
    trial.suggest_float("l2", 1e-6, 1e-2, log=True)
    assert isinstance(trial.distributions["l2"], FloatDistribution)
    assert searched_space(study, today).domains["l2"].text() == "1e-06..0.01 (log)"


def test_a_command_can_be_pasted() -> None:
    overrides = {"a": "optimizer=adam,adamw", "b": "dropout=0..0.3"}
    expected = "hpsearch search churn --set optimizer=adam,adamw dropout=0..0.3"
    assert search_command("churn", overrides) == expected
    assert Choice("no", "yes").text() == "no, yes"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "0 s"), (38, "38 s"), (150, "2 min"), (3600, "1 h 00 min"), (12_000, "3 h 20 min")],
)
def test_times(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


def test_words() -> None:
    assert metric_name("val_auc") == "validation AUC"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert signed(0.0123, "val_accuracy") == "+1.2 points"
    assert signed(-0.0123, "val_loss") == "-0.0123"
    assert signed(-0.00001, "val_loss") == "+0.0000"
    assert pair(-0.01, 0.02, "val_auc") == "-1.0 to +2.0"
