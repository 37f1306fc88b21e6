"""What a search would do, said before it: its order, the trials that fit, the cost."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from pipelines.sources import DATA_DIR_VARIABLE
from pipelines.splits import SearchData, Split
from pipelines.tasks import TASKS
from search.commands import advice as cli_advice
from search.plan import data_here, make_plan, plan_page
from search.settings import Settings
from search.study import open_study, study_name
from spaces.presets import PRESETS
from spaces.space import Space
from spaces.starts import STARTS
from tests.search.timed_trials import DIGITS, a_study, in_turn


def data(n_train: int = 1149, shape: tuple[int, ...] = (8, 8, 1)) -> SearchData:
    split = Split(np.zeros((n_train, *shape)), np.zeros(n_train, np.int64))
    return SearchData(split, split, DIGITS.class_names, digest="abc")


def planned(
    stored: Sequence[optuna.Study] = (),
    space: Space = DIGITS.space,
    given: SearchData | None = None,
    **settings: Any,
) -> str:
    """The page on one line."""
    plan = make_plan(
        DIGITS,
        space,
        Settings(**{"workers": 2, **settings}),
        "This machine: 2 cores.",
        given or data(),
        stored,
    )
    return text_of(plan_page(plan))


def text_of(page: Any) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(page)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    return " ".join(text.split())


def test_a_plan_without_a_study_is_a_guess_and_says_so() -> None:
    text = planned()
    assert "This machine: 2 cores." in text
    assert "1,149 rows to train on, 1,149 to validate; the best val_accuracy" in text
    assert "of which most configs use" in text
    assert "At most 40 epochs a trial, judged at 5, 10, 20: who is not in the better half," in text
    assert "At the end the best 5 configs, trained again on 10 folds." in text
    assert (
        "A guess from the size of the networks, on a fast machine, which may be wrong by a factor"
        in text
    )
    assert "50 trials take about" in text
    assert "of a worker." in text


def test_a_plan_stands_on_a_stored_study() -> None:
    text = planned([a_study(in_turn(2, 100))], budget_seconds=400.0, trials=50)
    assert "Measured on 100 trials of fake-study (66 pruned, 34 completed): 5 s" in text
    assert "In 6:40, 1:40 of it kept for the finalists, about 1" in text
    assert "--trials 50 ends it sooner, after about 2:09 of trials, then at most " in text
    assert "for the finalists: without --trials the budget decides." in text


def test_more_trials_than_fit_are_ended_by_the_budget() -> None:
    text = planned([a_study(in_turn(2, 100))], budget_seconds=400.0, trials=1000, finalists=0)
    assert "In 6:40, about 160 trials fit with 2 workers." in text
    assert "ends it sooner" not in text
    assert "Cost: about 13 minutes of a worker." in text


def test_a_budget_alone_is_used_whole() -> None:
    name = study_name(DIGITS, DIGITS.space, DIGITS.training, "abc", 0)
    study = a_study(in_turn(2, 100), name=name)
    text = planned([study], budget_seconds=400.0, finalists=0)
    assert "100 trials finished." in text
    assert "In 6:40, about 160 trials fit with 2 workers." in text
    assert "Cost: about 13 minutes of a worker." in text


def test_finalists_that_need_longer_than_their_share_are_mentioned() -> None:
    study = a_study(in_turn(2, 100, seconds=60.0))
    text = planned([study], budget_seconds=400.0, trials=1000)
    assert "more than their 1:40: the same command goes on with them." in text


def test_a_budget_too_short_for_finalists_is_not_called_their_share() -> None:
    name = study_name(DIGITS, DIGITS.space, DIGITS.training, "abc", 0)
    own = a_study(in_turn(2, 100, seconds=60.0), name=name, best={"val_accuracy": 0.9})
    text = planned([own], budget_seconds=60.0, trials=1000)
    assert "more than so short a budget has for them" in text
    assert "0:00" not in text


def test_the_study_that_goes_on_is_named() -> None:
    name = study_name(DIGITS, DIGITS.space, DIGITS.training, "abc", 0)
    other, own = a_study(in_turn(2, 30)), a_study(in_turn(2, 20), name=name)
    text = planned([own, other])
    assert f"It goes on with {name}: 20 trials finished." in text
    assert "Measured on 20 trials" in text
    assert "30 trials take about" in text
    done = planned([own], trials=20)
    assert "20 trials finished and 20 asked for: none is left to try. " in done
    assert "--trials 70 tries 50 more, --budget alone as many as fit." in done
    assert "It goes on" not in planned([own], seed=1)


def test_the_pace_is_that_of_the_newest_study() -> None:
    stored = [a_study(in_turn(2, 30), name=name) for name in ("older", "newer")]
    assert "Measured on 30 trials of newer" in planned(stored)


def test_what_is_known_and_fits_comes_first() -> None:
    fashion = TASKS["fashion"]
    plan = make_plan(
        fashion,
        fashion.space.narrow(["family=cnn"]),
        Settings(),
        "",
        data(50_000, (28, 28, 1)),
        [],
    )
    text = text_of(plan_page(plan))
    fitting = [
        p for p in PRESETS.values() if p.task == "fashion" and plan.space.contains(p.config)
    ]
    known = f"{len(STARTS['fashion'])} starting points and {len(fitting)} of 6 presets"
    assert f"First {known}, then what the sampler draws." in " ".join(text.split())


def test_presets_that_are_not_wanted_are_not_promised() -> None:
    fashion = TASKS["fashion"]
    pages = []
    for presets in (True, False):
        settings = Settings(presets=presets, finalists=1, workers=4)
        rows = data(50_000, (28, 28, 1))
        plan = make_plan(fashion, fashion.space, settings, "", rows, [])
        pages.append(text_of(plan_page(plan)))
    with_presets, without = pages
    assert "First 3 starting points and " in with_presets
    assert "and the best preset, trained again" in with_presets
    assert "First the default config of the space, then" in without
    assert "At the end the best 1 config, trained again on 3 fresh seeds." in without
    spans = [re.search(r"at most (\d+):(\d+) for the finalists", page) for page in pages]
    seconds = [60 * int(found[1]) + int(found[2]) for found in spans if found]
    assert seconds[0] > 2 * seconds[1] - 2  # starting points go with the presets, and cost more


def test_without_data_nothing_is_said_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.setattr("pipelines.sources.user_cache", lambda: tmp_path)
    fashion = TASKS["fashion"]
    assert data_here(fashion, Settings()) is None
    plan = make_plan(fashion, fashion.space, Settings(), "", None, [])
    text = text_of(plan_page(plan))
    assert "The data of fashion are not here: a search downloads them first." in text
    assert "Nothing can be said before the data are here." in text


def test_what_needs_no_files_is_here() -> None:
    found = data_here(DIGITS, Settings())
    assert found is not None
    assert found.input_shape == (8, 8, 1)


def test_the_command_trains_and_writes_nothing(tmp_path: Path) -> None:
    app = typer.Typer()
    app.add_typer(cli_advice.app)
    arguments = ["plan", "digits", "--budget", "5m", "--workers", "1", "--set", "optimizer=adam"]
    given = [*arguments, "dropout=0..0.3", "--runs-dir", str(tmp_path / "mlruns")]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    assert done.exit_code == 0
    assert "This machine: " in done.output
    said = " ".join(done.output.split())
    assert "momentum, nesterov, rho and weight_decay are used by no config" in said
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_about_the_search_that_is_asked_for(tmp_path: Path) -> None:
    settings = Settings(runs_dir=tmp_path, seed=3)
    digest = DIGITS.load(None).digest
    made = open_study(settings, DIGITS, DIGITS.space, DIGITS.training, digest)
    app = typer.Typer()
    app.add_typer(cli_advice.app)

    def said(*options: str) -> str:
        given = ["plan", "digits", "--runs-dir", str(tmp_path), *options]
        done = CliRunner().invoke(app, given, catch_exceptions=False)
        assert done.exit_code == 0
        return " ".join(done.output.split())

    usual = said()
    assert made.study_name not in usual
    assert "At the end the best 5 configs" in usual
    asked = said("--seed", "3", "--finalists", "2", "--seeds", "4", "--precision", "float32")
    assert f"It goes on with {made.study_name}: 0 trials finished." in asked
    assert "At the end the best 2 configs, trained again on 4 folds." in asked
    assert "trained again" not in said("--finalists", "0")
