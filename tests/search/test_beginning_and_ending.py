"""What a search says before anything takes time, and once all is done."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipelines.splits import SearchData, Split
from pipelines.tasks import TASKS
from search.finalists.verdict import Retraining, store
from search.settings import Settings
from search.study import Record, tell, write
from search.view import already_complete, beginning, ending
from spaces.config import Training
from spaces.presets import PRESETS
from spaces.starts import DEFAULT
from tests.fakes import TASK, new_study
from tests.search.conftest import Searched

METRIC = TASK.goal.metric


def data() -> SearchData:
    split = Split(np.zeros((1200, 1)), np.zeros(1200, np.int64))
    return SearchData(split, split, TASK.class_names, digest="abc")


KNOWN = ("mnist t004", "start_plain", "fashion_dense_128", "fashion_cnn_he")


def begun(
    task: str, epochs: int, *, fresh: bool, known: Sequence[str] = KNOWN, **settings: Any
) -> str:
    study = new_study()
    for origin in known:
        study.enqueue_trial({}, user_attrs={"preset": origin})
    plain = Settings(**{"workers": 2, **settings})
    found = TASKS[task]
    lines = beginning(found, data(), study, plain, Training(epochs=epochs), fresh=fresh)
    return "\n".join(str(line) for line in lines)


def test_the_beginning_says_what_is_about_to_happen() -> None:
    text = begun("fashion", 15, fresh=True, budget_seconds=1800.0, trials=40, warm_start="mnist")
    assert "Fashion-MNIST: 1,200 rows to train on" in text
    assert "up to 40 trials of at most 15 epochs, judged at 2, 4, 8;" in text
    assert "2 workers, float32, 30:00 at most" in text
    assert "It begins with 1 config of mnist, 1 starting point, 2 presets." in text


def test_the_beginning_says_that_nothing_is_known() -> None:
    text = begun("fashion", 15, fresh=True, known=[DEFAULT])
    assert "It begins with the default config of the space." in text


def test_the_beginning_of_a_search_with_a_budget_alone() -> None:
    text = begun("fashion", 15, fresh=True, budget_seconds=1800.0)
    assert "as many trials as fit, of at most 15 epochs, judged at 2, 4, 8;" in text
    assert "2 workers, float32, 30:00 at most" in text


def test_the_beginning_says_that_it_goes_on() -> None:
    text = begun("digits", 9, fresh=False)
    assert "It goes on: 0 trials finished, 0 taken up again." in text


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        (
            "fashion",
            {},
            "The best 5 configs and the best preset are then trained again on 3 fresh seeds.",
        ),
        (
            "churn",
            {"finalists": 1, "budget_seconds": 60.0},
            (
                "The best 1 config and the best preset are then trained again on 10 folds;"
                " 25% of the time or more is kept for that."
            ),
        ),
    ],
)
def test_the_beginning_says_who_is_trained_again(
    task: str, settings: dict[str, Any], said: str
) -> None:
    assert said in begun(task, 9, fresh=True, **settings)
    assert "trained again" not in begun(task, 9, fresh=True, finalists=0)


def test_a_search_of_one_epoch_is_judged_nowhere() -> None:
    assert "judged at ;" not in begun("digits", 1, fresh=True)


@pytest.mark.parametrize(("task", "settings"), [("digits", {}), ("fashion", {"presets": False})])
def test_without_presets_none_is_promised(task: str, settings: dict[str, Any]) -> None:
    text = begun(task, 9, fresh=True, finalists=1, **settings)
    assert "The best 1 config is then trained again on" in text


def test_rungs_beyond_a_hundred_epochs_are_readable() -> None:
    assert "e+" not in begun("xor", 300, fresh=True)


def test_the_ending_says_what_came_of_it(searched: Searched) -> None:
    coordinator = searched()
    text = "\n".join(str(line) for line in ending(coordinator, 3.0))
    assert text.startswith("Done after ")
    assert "4 of 4 trials" in text
    assert f"best {METRIC}" in text
    assert "hpsearch export fake" in text
    assert "unfinished" not in text


def test_the_ending_names_commands_that_find_the_study(searched: Searched) -> None:
    coordinator = searched()
    storage, mlflow = "sqlite:///x.db", "http://mlflow.example"
    coordinator.settings = Settings(storage=storage, tracking_uri=mlflow)
    assert str(ending(coordinator, 3.0)[-1]).splitlines() == [
        f"Next: hpsearch leaderboard fake --storage {storage}",
        f"      hpsearch export fake --storage {storage} --tracking-uri {mlflow}",
        f"      hpsearch ui --tracking-uri {mlflow}",
    ]
    coordinator.settings = Settings()
    usual = "Next: hpsearch leaderboard fake, hpsearch export fake, hpsearch ui"
    assert str(ending(coordinator, 3.0)[-1]) == usual


def test_the_ending_of_a_stopped_search_says_how_to_go_on(searched: Searched) -> None:
    lines = [str(line) for line in ending(searched(stop_at=3), 0.0)]
    assert lines[0].startswith("Stopped after ")
    assert "2 trials unfinished: the same command goes on with what is left." in lines
    assert not any("export" in line for line in lines)


def test_the_ending_has_the_verdict_and_counts_what_is_left(searched: Searched) -> None:
    lines = ending(searched(), 0.0, finalists=["t001 is the best."], n_retrainings_left=1)
    assert lines[3:5] == [
        "t001 is the best.",
        "1 retraining unfinished: the same command goes on with what is left.",
    ]
    coordinator = searched()
    budget = coordinator.elapsed + 130
    coordinator.settings = Settings(trials=4, budget_seconds=budget)
    assert (
        "1 retraining unfinished, as no more fits into the 2:10 that are left: the same command"
        " goes on with what is left."
    ) in ending(coordinator, 0.0, n_retrainings_left=1)
    lines = ending(searched(stop_at=3), 0.0, n_retrainings_left=4)
    assert any(str(line).startswith("2 trials and 4 retrainings unfinished:") for line in lines)


def test_a_finished_study_shows_its_verdict() -> None:
    study = new_study()
    trial = study.ask()
    best = {"epoch": 3.0, METRIC: 0.9}
    config = PRESETS["mnist_conv_net"].config.model_dump(mode="json", exclude_none=True)
    record = Record(config, seed=1, state="completed", best=best)
    write(study, trial, record)
    tell(study, trial, record)
    assert already_complete(study).splitlines()[0].startswith("1 trial finished already;")
    assert len(already_complete(study).splitlines()) == 2
    store(study, Retraining(0, 0, 7, best, 3.0, 1.0))
    assert "t000 is the only finalist" in already_complete(study)


def test_the_share_of_training_is_of_all_workers(searched: Searched) -> None:
    coordinator = searched()
    coordinator.spent.training = coordinator.elapsed
    assert "50.0% of the workers' time was training; " in str(ending(coordinator, 3.0)[1])
