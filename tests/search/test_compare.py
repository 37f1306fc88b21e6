"""Trials side by side: what differs, what it did, and nothing more than that is concluded."""

import io
from typing import Any

import optuna
import pytest
from rich.console import Console

from search.compare import Trial, causes, check, comparison_page, conclusions, differences
from search.finalists.verdict import Retraining, store
from search.one_trial import numbered
from spaces.config import Config
from spaces.errors import InputError
from spaces.presets import PRESETS
from tests.fakes import new_study
from tests.hand_made import CNN, METRIC, a_record, add

OTHERS = {
    "l2": PRESETS["mnist_conv_net_l2"].config,
    "batch norm": PRESETS["mnist_conv_net_batch_norm"].config,
    "mlp": PRESETS["mnist_mlp_512"].config,
}


def changed(**changes: Any) -> Config:
    """The CNN with other optimization."""
    own = {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 256}
    dumped = CNN.model_dump(exclude_none=True)
    return Config.model_validate({**dumped, "optimization": {**own, **changes}})


def with_blocks(count: int, **changes: Any) -> Config:
    """Blocks on MNIST, the fourth of which does not pool."""
    blocks = [
        {"filters": 8, "padding": "same", "pooling": "none" if n == 3 else "max", **changes}
        for n in range(count)
    ]
    dumped = CNN.model_dump(exclude_none=True)
    return Config.model_validate({**dumped, "network": {"blocks": blocks}})


def two(*configs: Config, scores: Any = ((0.5, 0.9), (0.6, 0.95)), **changes: Any) -> Any:
    """A study of two trials, and both."""
    study = new_study()
    for config, own in zip(configs, scores, strict=True):
        add(study, a_record(*own, config=config, **changes))
    return study, [numbered(study, str(number)) for number in range(len(configs))]


def shown(study: optuna.Study, trials: list[Trial]) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(comparison_page(study, trials))
    return console.export_text().splitlines()


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (CNN, CNN, []),
        (CNN, changed(learning_rate=0.01), ["learning_rate"]),
        (CNN, changed(optimizer="sgd"), ["optimizer"]),
        (CNN, changed(optimizer="sgd", batch_size=32), ["optimizer", "batch_size"]),
        (CNN, OTHERS["l2"], ["l2"]),
        (CNN, OTHERS["mlp"], ["family", "units_1"]),
        (with_blocks(2), with_blocks(4), ["blocks"]),
        (with_blocks(2), with_blocks(4, kernel_size=5), ["blocks", "kernel_size"]),
    ],
)
def test_what_only_follows_from_another_setting_is_no_cause(
    one: Config, other: Config, found: list[str]
) -> None:
    assert causes(one, other) == found
    assert sorted(causes(other, one)) == sorted(found)


def test_differences_show_what_a_config_does_not_have() -> None:
    found = differences([CNN, changed(optimizer="sgd")])
    assert found["beta_1"] == [0.9, None]
    assert found["momentum"] == [None, 0.0]
    assert "batch_size" not in found


def test_with_one_cause_it_is_named_and_so_is_luck() -> None:
    lines = conclusions(*two(CNN, OTHERS["l2"]))
    assert lines[0] == "t001 is 0.0500 better than t000 in val_accuracy at their best."
    assert lines[1].startswith("Only l2 was set differently: the difference comes from it or from")


def test_with_several_causes_none_is_blamed() -> None:
    lines = conclusions(*two(CNN, changed(optimizer="sgd", batch_size=32)))
    assert lines[1].startswith("2 settings differ (optimizer, batch_size): any of them,")


def test_the_same_config_twice_differs_by_luck() -> None:
    lines = conclusions(*two(CNN, CNN))
    assert lines[1] == "Their configs are the same: the difference is the luck of the seed."


def test_a_pruned_trial_is_compared_where_both_have_been() -> None:
    study = new_study()
    add(study, a_record(0.5, 0.7, 0.6, 0.95))
    add(study, a_record(0.6, 0.8, state="pruned", config=OTHERS["l2"]))
    lines = conclusions(study, [numbered(study, "0"), numbered(study, "1")])
    assert lines[0] == (
        "t001 is 0.1000 better than t000 in val_accuracy at their best up to epoch 2, the last"
        " that both have seen."
    )


@pytest.mark.parametrize(("n_epochs", "n_shown"), [(9, 9), (10, 10), (30, 10)])
def test_a_short_curve_is_shown_whole(n_epochs: int, n_shown: int) -> None:
    scores = [0.5 + 0.01 * epoch for epoch in range(n_epochs)]
    study, trials = two(CNN, OTHERS["l2"], scores=(scores, scores))
    rows = [line.split()[1] for line in shown(study, trials) if line.startswith("epoch ")]
    assert len(rows) == n_shown
    assert (rows[0], rows[-1]) == ("1", str(n_epochs))


def test_trials_without_a_common_epoch_or_score() -> None:
    study = new_study()
    add(study, a_record(0.5))
    add(study, a_record(state="failed", cause="out of memory"))
    add(study, a_record(float("nan"), state="failed", cause="diverged", best={}))
    zero, one, two_ = (numbered(study, str(number)) for number in range(3))
    assert conclusions(study, [zero, one])[0].startswith("They have no epoch in common")
    assert conclusions(study, [zero, two_])[0] == "One of them has no score to compare."
    for pair in ([zero, one], [zero, two_]):
        assert max(len(line) for line in shown(study, pair)) <= 80


def test_equal_scores_are_equal() -> None:
    lines = conclusions(*two(CNN, OTHERS["l2"], scores=((0.9,), (0.9,))))
    assert lines[0] == "t000 and t001 have the same val_accuracy at their best, 0.9000."


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ([0.90, 0.92, 0.94], "): nobody can say which is better."),
        ([0.80, 0.82, 0.84], "): more than luck."),
    ],
)
def test_finalists_are_compared_on_what_they_were_trained_again_on(
    other: list[float], verdict: str
) -> None:
    study, trials = two(CNN, OTHERS["l2"])
    scores = {0: [0.905, 0.915, 0.945], 1: other}
    for number, own in scores.items():
        for draw, score in enumerate(own):
            store(study, Retraining(number, draw, draw, {METRIC: score}, 3.0, 6.0))
    last = conclusions(study, trials)[-1]
    assert last.startswith("Trained again on fresh seeds, t000 less t001 is +0.")
    assert last.endswith(verdict)


def test_on_one_draw_there_is_no_interval() -> None:
    study, trials = two(CNN, OTHERS["l2"])
    for number in (0, 1):
        store(study, Retraining(number, 0, 0, {METRIC: 0.9}, 3.0, 6.0))
    assert conclusions(study, trials)[-1].endswith("on too few of them for an interval.")


def test_the_page_shows_scores_and_curves_at_the_same_epochs() -> None:
    study, trials = two(CNN, OTHERS["batch norm"], scores=((0.5, 0.9, 0.8), (0.6, 0.95)))
    lines = shown(study, trials)
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    assert [line.split() for line in lines if line.startswith("batch_norm")] == [
        ["batch_norm", "none", "after-none-none-after"]
    ]
    assert [line.split() for line in lines if line.startswith("epoch ")] == [
        ["epoch", "1", "0.5000", "0.6000"],
        ["epoch", "2", "0.9000", "0.9500"],
    ]
    assert "seconds an epoch" in text
    assert "t000 ▁█▆" in text


def test_five_trials_fit_in_80_columns() -> None:
    study = new_study()
    widest = [changed(learning_rate=0.00012345 * n, optimizer="rmsprop") for n in range(1, 6)]
    for config in widest:
        add(study, a_record(0.5, 0.987654, config=config, n_parameters=12_345_678))
    trials = [numbered(study, str(number)) for number in range(5)]
    lines = shown(study, trials)
    assert max(len(line) for line in lines) <= 80
    assert any("Only learning_rate differs" in line for line in lines)


@pytest.mark.parametrize(
    ("called", "sentence"),
    [
        (["1"], "Name two to 5 trials to compare, got 1: t001."),
        (list("012345"), "Name two to 5 trials to compare, got 6: "),
        (["0", "t0"], "Name different trials to compare, got t000, t000."),
    ],
)
def test_what_cannot_be_compared(called: list[str], sentence: str) -> None:
    study = new_study()
    for _ in range(6):
        add(study, a_record(0.5))
    with pytest.raises(InputError) as error:
        check([numbered(study, each) for each in called])
    assert str(error.value).startswith(sentence)
