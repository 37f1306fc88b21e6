"""What a search would do, said before it: pace, trials that fit, and what looks wrong."""

import datetime as dt
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import typer
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from pipelines.splits import SearchData, Split
from pipelines.tasks import TASKS
from search import pace as pacing
from search.commands import advice as cli_advice
from search.finalists.verdict import Retraining, store
from search.layers import layers_of
from search.pace import Pace, guessed, measured
from search.plan import data_here, make_plan, plan_page
from search.settings import Settings
from search.space_check import draws, looks_wrong, used
from search.study import Record, open_study, rungs, study_name
from spaces.config import Training
from spaces.domains import Choice, Int
from spaces.presets import PRESETS
from spaces.space import Space
from spaces.spaces import SPACES
from spaces.starts import STARTS
from tests.fakes import new_study

DIGITS = TASKS["digits"]
NOON = dt.datetime(2026, 11, 21, 12)  # noqa: DTZ001 - as Optuna stores it
CONFIG = PRESETS["mnist_conv_net"].config.with_epochs(DIGITS.training.epochs)


def a_study(
    spans: Sequence[tuple[float, float]], *, epochs: int = DIGITS.training.epochs, **record: Any
) -> optuna.Study:
    """A study of trials in work from one second to another, a third of them completed."""
    study = new_study(name=record.pop("name", "fake-study"))
    config = CONFIG.with_epochs(epochs).model_dump(mode="json", exclude_none=True)
    for number, (begin, end) in enumerate(spans):
        completed = number % 3 == 0
        own = Record(
            config,
            seed=number,
            state="completed" if completed else "pruned",
            epoch=9.0,
            worker_seconds=(end - begin) * 0.9,
            train_seconds=(end - begin) * 0.8,
        )
        trial = optuna.trial.create_trial(
            state=TrialState.COMPLETE if completed else TrialState.PRUNED,
            value=0.9 if completed else None,
            user_attrs={"record": dict(vars(replace(own, **record)))},
        )
        trial.datetime_start = NOON + dt.timedelta(seconds=begin)
        trial.datetime_complete = NOON + dt.timedelta(seconds=end)
        study.add_trial(trial)
    return study


def in_turn(n_workers: int, n_trials: int, seconds: float = 4.0) -> list[tuple[float, float]]:
    """Begin and end of trials that workers do one after the other, a second between two."""
    return [
        ((n // n_workers) * (seconds + 1), (n // n_workers) * (seconds + 1) + seconds)
        for n in range(n_trials)
    ]


def paced(study: optuna.Study) -> Pace:
    found = measured(study, DIGITS.training.epochs)
    assert found is not None
    return found


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_the_pace_is_that_of_a_worker_with_what_lies_between_trials(n_workers: int) -> None:
    found = paced(a_study(in_turn(n_workers, 100)))
    assert found.seconds == pytest.approx(5.0, rel=0.03)
    assert found.n_trials == 100
    assert found.states == {"pruned": 66, "completed": 34}


def test_a_pause_between_two_searches_is_no_work() -> None:
    first = in_turn(2, 20)
    later = [(begin + 3600, end + 3600) for begin, end in first]
    assert paced(a_study(first + later)).seconds == pytest.approx(5.0, rel=0.1)


def test_a_trial_that_was_interrupted_does_not_count() -> None:
    study = a_study(in_turn(1, 20))
    record = study.get_trials()[0].user_attrs["record"]
    trial = optuna.trial.create_trial(
        state=TrialState.PRUNED, user_attrs={"record": {**record, "worker_seconds": 4.0}}
    )
    trial.datetime_start, trial.datetime_complete = NOON, NOON + dt.timedelta(hours=8)
    study.add_trial(trial)
    assert paced(study).seconds == pytest.approx(5.0, rel=0.05)


def test_few_trials_or_trials_of_another_length_say_nothing() -> None:
    assert measured(a_study(in_turn(1, 4)), DIGITS.training.epochs) is None
    assert measured(a_study(in_turn(1, 9), epochs=3), DIGITS.training.epochs) is None
    assert measured(new_study(), DIGITS.training.epochs) is None


def test_finalists_take_as_long_as_those_that_were_trained_again() -> None:
    study = a_study(in_turn(1, 9))
    assert paced(study).retraining_seconds == pytest.approx(3.6)
    store(study, Retraining(0, 0, 0, {"val_accuracy": 0.9}, 9.0, 20.0))
    assert paced(study).retraining_seconds == pytest.approx(20.4)


def test_what_fits_has_chance_around_it() -> None:
    pace = replace(paced(a_study(in_turn(1, 100))), seconds=5.0, spread=0.5)
    low, high = pace.fitting(500.0)
    assert low < 100 < high
    assert high / low < 1.4
    few = replace(pace, n_trials=6).fitting(500.0)
    assert few[0] < low
    assert few[1] > high
    assert replace(pace, spread=0.0).fitting(500.0) == (100.0, 100.0)
    assert replace(pace, n_trials=0).fitting(500.0) == (100.0, 100.0)


def test_a_guess_grows_with_network_rows_and_rungs() -> None:
    configs = [draw.config for draw in draws(SPACES["digits"], DIGITS.training, 50)]

    def guess(**changes: Any) -> float:
        given: dict[str, Any] = {"n_train": 1000, "n_validation": 200, "precision": "float32"}
        levels = changes.pop("levels", rungs(5, 40))
        starts = changes.pop("starts", [])
        return guessed(configs, starts, [], levels, (8, 8, 1), 10, **{**given, **changes}).seconds

    usual = guess()
    assert guess(n_train=2000) > usual
    assert guess(levels=rungs(5, 80)) > usual
    assert guess(levels=[40.0]) > usual
    assert guess(precision="bfloat16") < usual
    large = max(configs, key=lambda config: layers_of(config, (8, 8, 1), 10).weights)
    assert guess(starts=[large]) > usual


def test_the_work_of_a_row_is_counted_by_layers() -> None:
    layers = layers_of(PRESETS["mnist_conv_net"].config, (28, 28, 1), 10)
    expected = 26 * 26 * 32 * 9 + 11 * 11 * 64 * 288 + 3 * 3 * 64 * 576 + 576 * 64 + 64 * 10
    assert sum(map(pacing._multiplications, layers.rows)) == expected
    embedded = layers_of(draws_with_embedding(), (11,), 2)
    (row,) = (row for row in embedded.rows if row.name == "embedding")
    assert pacing._multiplications(row) == 11 * row.shape[-1]


def draws_with_embedding() -> Any:
    found = (draw.config for draw in draws(SPACES["churn"], Training(epochs=1), 20))
    return next(config for config in found if config.network.embedding)


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
    assert "First " in with_presets
    assert "and the best preset, trained again" in with_presets
    assert "First " not in without
    assert "At the end the best 1 config, trained again on 3 fresh seeds." in without
    spans = [re.search(r"at most (\d+):(\d+) for the finalists", page) for page in pages]
    seconds = [60 * int(found[1]) + int(found[2]) for found in spans if found]
    assert seconds[0] > 2 * seconds[1] - 2  # starting points go with the presets, and cost more


def test_without_data_nothing_is_said_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
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


def wrong(space: Space, shape: tuple[int, ...] | None = None, n_train: int | None = None) -> str:
    return "\n".join(looks_wrong(space, draws(space, Training(epochs=3), 400), shape, 10, n_train))


@pytest.mark.parametrize("task", SPACES)
def test_nothing_that_cannot_be_built_is_found_in_our_own_spaces(task: str) -> None:
    side = SPACES[task].image_side
    text = wrong(SPACES[task], (side, side, 1) if side else (11,), 10_000)
    assert "cannot be built" not in text
    assert "no effect" not in text
    assert "Fixed" not in text


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["optimizer=adam"], "momentum, nesterov, rho and weight_decay are used by no config"),
        (["optimizer=adam"], "Fixed, so that the search says nothing of it: optimizer=adam."),
        (["family=mlp"], "filters_1"),
        (["dropout=0.2..0.2"], "it: dropout=0.2."),
        (["padding=valid", "kernel_size=5", "blocks=2", "residual=no"], "gets padding 'same'"),
    ],
)
def test_what_looks_wrong(overrides: list[str], said: str) -> None:
    text = wrong(SPACES["digits"].narrow(overrides))
    assert said in text


def test_what_hardly_any_config_uses() -> None:
    rare = SPACES["iris"].replace(layers=Choice(*[1] * 99, 3))
    text = "".join(looks_wrong(rare, draws(rare, Training(epochs=3)), None, 3, None))
    assert re.search(r"Hardly any config uses units_2 \(\d.\d%\) and units_3", text)


def test_a_space_for_larger_images_than_the_data_are() -> None:
    text = wrong(SPACES["fashion"].narrow(["family=cnn"]), (8, 8, 1))
    assert "% of the configs cannot be built, mostly as block" in text


def test_batches_larger_than_the_data() -> None:
    assert "batch_size goes to 512, and there are 300 rows" in wrong(SPACES["mnist"], None, 300)
    chosen = SPACES["iris"].replace(batch_size=Choice(8, 128))
    assert "batch_size goes to 128" in wrong(chosen, None, 90)
    assert "batch_size" not in wrong(SPACES["iris"], None, 90)


def test_images_that_are_too_small_to_be_halved_so_often() -> None:
    deep = SPACES["digits"].replace(blocks=Int(4, 4), filters_3=Int(4, 8), filters_4=Int(4, 8))
    assert "a block does not pool, for a single pixel would be left" in wrong(deep)


def test_what_a_draw_uses() -> None:
    for draw in draws(SPACES["churn"], Training(epochs=3), 60):
        names = used(draw)
        own = draw.config.optimization
        assert ("momentum" in names) == (own.optimizer in ("sgd", "rmsprop"))
        assert ("units_3" in names) == (len(draw.config.network.layers) >= 3)
        assert ("nesterov" in names) == (own.optimizer == "sgd" and bool(own.momentum))


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
