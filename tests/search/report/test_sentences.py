"""Sentences: on effects made by hand, and on a study of a known one."""

from dataclasses import replace

import pytest

from search.report.effects import Effect, findings
from search.report.phrases import value_text
from search.report.sentences import points, sentence
from spaces.domains import Choice, Domain, Int, Value
from tests.search.report.known import (
    DROPOUT,
    DROPOUTS,
    OPTIMIZERS,
    RATE,
    RATES,
    SPACE,
    UNITS,
    best_at_a_quarter,
    effect,
    known_of,
    used,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            effect(DROPOUT, DROPOUTS, [2.1, 1.2, 0.1, 0, 0.2, 0.6, 0.6]),
            (
                "best between 0.2 and 0.4; 0.1 and less costs up to about 2.1 points (at 0);"
                " 0.5 and more costs about 0.6 points"
            ),
        ),
        (
            effect(DROPOUT, DROPOUTS, [0, 0, 0.1, 0.2, 0.2, 0.2, 1.26]),
            "best up to 0.5; 0.6 costs about 1.3 points",
        ),
        (
            effect(UNITS, (4, 16, 64, 256), [3.14, 1, 0, 0.1], error=0.0005),
            (
                "best at 64; 16 and less costs up to about 3.14 points (at 4);"
                " 256 costs about 0.1 points"
            ),
        ),
        (
            effect(UNITS, (4, 16, 64, 256), [2.0, 0.2, 0.1, 0]),
            "best from 16 up; 4 costs about 2 points",
        ),
        (
            effect(UNITS, (4, 16, 64, 256), [2.0, 1.8, 1.4, 0]),
            (
                "best at the upper edge 256 of its range: try more;"
                " 64 and less costs about 1.7 points"
            ),
        ),
        (
            effect(RATE, RATES, [0, 0.8, 1.4, 8], error=0.006),
            (
                "best at the lower edge 0.0001 of its range: try less;"
                " 0.001 and more costs up to about 8 points (at 0.1)"
            ),
        ),
        (
            effect(RATE, (0.00012, 0.00123, 0.0123, 0.1), [1, 0, 1, 2]),
            (
                "best around 0.0012; 0.00012 costs about 1 point;"
                " 0.012 and more costs up to about 2 points (at 0.1)"
            ),
        ),
        (
            effect(DROPOUT, DROPOUTS, [0, 0.1, 0.9, 1.4, 0.2, 0.1, 0]),
            "best up to 0.1; 0.3 costs about 1.4 points",
        ),
        (
            replace(
                effect(DROPOUT, DROPOUTS, [0, 0.1, 0.9, 1.4, 0.2, 0.1, 3]),
                good=(True, True, False, False, True, True, True),
            ),
            "best up to 0.1; 0.3 costs about 1.4 points",
        ),
        (
            effect(Int(0, 2), (0, 1, 2), [0, 1, 2]),
            "best at 0; 1 and more costs up to about 2 points (at 2)",
        ),
    ],
    ids=[
        "within the range",
        "from the lower end",
        "a narrow band",
        "to the upper end",
        "the upper edge",
        "the lower edge",
        "one value of a range",
        "the worst in the middle",
        "the worst may be luck",
        "nothing lies below none",
    ],
)
def test_what_a_range_did(found: Effect, expected: str) -> None:
    assert sentence(found, used()) == f"it: {expected}; measured on 84 trials."


@pytest.mark.parametrize(
    ("loss", "counts", "expected"),
    [
        (
            [1.2, 0.1, 0, 0.2],
            [31, 20, 20, 13],
            "adamw, adam and nadam best; sgd costs about 1.2 points (31 trials)",
        ),
        (
            [1.2, 0.6, 0, 0.2],
            [31, 20, 31, 2],
            (
                "adamw best; sgd costs about 1.2 points (31 trials);"
                " adam costs about 0.6 points (20 trials); too few trials of nadam to tell"
            ),
        ),
        (
            [5, 0, 0, 0],
            [1, 30, 30, 30],
            "adam, adamw and nadam best; too few trials of sgd to tell",
        ),
    ],
    ids=["one is worse", "one was hardly tried", "the worse one was hardly tried"],
)
def test_what_choices_did(loss: list[float], counts: list[int], expected: str) -> None:
    tried = [v for v, n in zip(OPTIMIZERS.values, counts, strict=True) for _ in range(n)]
    found = effect(OPTIMIZERS, OPTIMIZERS.values, loss)
    assert sentence(found, used(tried)) == f"it: {expected}; measured on 84 trials."


def test_of_many_worse_choices_the_worst_are_named() -> None:
    kinds = Choice("a", "b", "c", "d", "e", "f")
    found = effect(kinds, kinds.values, [0, 1, 2, 3, 4, 5])
    text = sentence(found, used([value for value in kinds.values for _ in range(6)]))
    assert "a best; f costs about 5 points (6 trials); e costs" in text
    assert "d costs about 3 points (6 trials), and c and b less;" in text


def test_yes_and_no_are_spelled_out() -> None:
    found = effect(Choice(False, True), (False, True), [0.9, 0])
    text = sentence(found, used([False] * 6 + [True] * 6))
    assert text.startswith("it: 'yes' best; 'no' costs about 0.9 points (6 trials);")


def test_what_cannot_be_seen_is_not_claimed() -> None:
    found = effect(DROPOUT, DROPOUTS, [0, 0, 0, 1, 1, 5, 9], clear=False)
    expected = "it: no difference that this study can see; measured on 84 trials."
    assert sentence(found, used()) == expected


def test_what_hardly_any_trial_uses_is_not_judged() -> None:
    found = effect(DROPOUT, DROPOUTS, [0] * 7, clear=False, n_trials=1)
    assert sentence(found, used()) == "it: used by only 1 trial, too few to tell."


def test_scores_of_an_early_epoch_are_called_so() -> None:
    known = replace(used(), at_epoch=2.0)
    text = sentence(effect(DROPOUT, DROPOUTS, [0, 0, 0, 0, 0, 0, 3]), known)
    assert text.endswith("; measured at epoch 2 on 84 trials.")


def test_a_loss_has_no_points() -> None:
    found = effect(DROPOUT, DROPOUTS, [0, 0, 0, 0, 0, 0, 3], error=0.004)
    text = sentence(found, used(metric="val_loss"))
    assert "0.6 costs about 0.03 in loss;" in text


@pytest.mark.parametrize(
    ("value", "metric", "error", "text"),
    [
        (0.0062, "val_accuracy", 0.0, "0.62 points"),
        (0.006, "val_auc", 0.0, "0.6 points"),
        (0.0062, "val_auc", 0.003, "0.6 points"),
        (0.0062, "val_auc", 0.0003, "0.62 points"),
        (0.123, "val_accuracy", 0.05, "12 points"),
        (0.01, "val_accuracy", 0.0, "1 point"),
        (-0.0123, "val_f1", 0.0, "-1.2 points"),
        (0.0, "val_accuracy", 0.0, "0 points"),
        (0.0123, "val_loss", 0.0, "0.012 in loss"),
        (1.5, "val_loss", 0.3, "1.5 in loss"),
        (0.0123, "val_calibration_error", 0.0, "0.012 in calibration error"),
    ],
)
def test_differences_as_people_say_them(
    value: float, metric: str, error: float, text: str
) -> None:
    assert points(value, metric, error) == text


@pytest.mark.parametrize(
    ("domain", "value", "text"),
    [
        (RATE, 0.0031622776, "0.0032"),
        (DROPOUT, 0.15, "0.15"),
        (UNITS, 256, "256"),
        (Choice(0.99, 0.995), 0.995, "0.995"),
        (Choice(False, True), True, "'yes'"),
        (Choice("none", "before"), "none", "'none'"),
    ],
)
def test_values_as_spaces_are_shown(domain: Domain, value: Value, text: str) -> None:
    assert value_text(domain, value) == text


def test_a_known_effect_reads_as_it_is() -> None:
    known = known_of(best_at_a_quarter, 120)
    effects = findings(known, SPACE).effects
    text = sentence(effects[0], known)
    assert text.startswith("dropout: best between 0.")
    assert " and more costs up to about 6" in text or " and more costs up to about 5" in text
    assert text.endswith(f"; measured on {effects[0].n_trials} trials.")
    others = [sentence(each, known) for each in effects[1:]]
    assert all("no difference that this study can see" in line for line in others)
