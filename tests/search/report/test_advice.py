"""Warnings and proposals, and that what is proposed can be searched."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from search.report.advice import limits, proposal, warnings
from search.report.effects import Findings, Interaction, findings
from search.report.evidence import evidence
from spaces.domains import Int, Value
from tests.fakes import new_study
from tests.search.report.known import (
    DROPOUTS,
    RATE,
    RATES,
    SPACE,
    UNITS,
    Score,
    add,
    best_at_a_quarter,
    effect,
    known_of,
    study_of,
    used,
)


def test_a_range_is_wasted_at_either_end() -> None:
    found = Findings((effect(RATE, RATES, [0, 0.1, 2, 2]),), ())
    lines = warnings(found, used([0.0001, 0.001, 0.02, 0.05, 0.1] * 5), SPACE)
    assert lines == [
        "it: 0.01 and more is clearly worse, which is 50% of its range and took 15 of 25 trials."
    ]


def test_one_bad_value_of_few_is_named_alone() -> None:
    found = Findings((effect(Int(0, 2), (0, 1, 2), [2, 0, 0]),), ())
    lines = warnings(found, used([0, 1, 1, 2] * 5), SPACE)
    assert lines == ["it: 0 is clearly worse, which is 33% of its range and took 5 of 20 trials."]


def test_of_two_ranges_the_ends_are_compared() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.8, 0.8, 0.8], [0.7, 0.8, 0.9]])
    grids = (8, 45, 256), (1e-4, 3e-3, 1e-1)
    pair = Interaction("batch_size", "learning_rate", *grids, scores, 0.1)
    (line,) = warnings(Findings((), (pair,)), used([0.1] * 25), SPACE)
    assert line.endswith("the best learning_rate is about 0.0001 with 8 and 0.1 with 256.")


def test_few_trials_are_called_few() -> None:
    known = known_of(lambda _: 0.9, 2)
    (line,) = warnings(findings(known, SPACE), known, SPACE)
    assert line.startswith("2 trials with a score: too few to tell what a hyperparameter did.")
    assert proposal(findings(known, SPACE), known, SPACE) == []


def test_no_trial_is_called_none() -> None:
    known = evidence(new_study(), SPACE)
    (line,) = warnings(Findings((), ()), known, SPACE)
    assert line == "No trial has a score yet, so nothing can be said of any hyperparameter."


def test_equal_scores_are_called_equal() -> None:
    known = known_of(lambda _: 0.9, 30, noise=0.0)
    (line,) = warnings(findings(known, SPACE), known, SPACE)
    assert line == "All 30 trials have the same score: nothing made a difference."


def test_where_none_has_completed_it_is_said() -> None:
    study = new_study()
    for _ in range(30):
        add(study, None, curve={1.0: 0.5, 2.0: 0.6}, state="pruned")
    known = evidence(study, SPACE)
    lines = warnings(findings(known, SPACE), known, SPACE)
    assert lines[0].startswith("No trial has completed: scores are compared at epoch 2,")


def test_the_best_at_the_edge_names_the_file_of_the_range() -> None:
    found = Findings((effect(UNITS, (4, 16, 64, 256), [2.0, 1.8, 1.4, 0]),), ())
    lines = warnings(found, used([4, 16, 64, 256, 256] * 5), SPACE)
    assert lines[0] == (
        "it is best at the upper edge 256 of its range: a wider one in spaces/fake.py may hold"
        " something better."
    )
    assert lines[-1] == (
        "it: 64 and less is clearly worse, which is 75% of its range and took 15 of 25 trials."
    )


@pytest.mark.parametrize(
    ("scores", "end"),
    [
        (
            [[0.7, 0.8, 0.9], [0.9, 0.8, 0.7]],
            "the best learning_rate is about 0.1 with sgd and 0.0001 with adam.",
        ),
        (
            [[0.90, 0.8, 0.8], [0.9, 0.89, 0.89]],
            (
                "learning_rate matters most with optimizer sgd (about 10 points between its best and"
                " its worst), least with adam (1 point)."
            ),
        ),
        (
            [[np.nan, 0.8, np.nan], [0.9, 0.8, 0.7]],
            "optimizer and learning_rate depend on each other.",
        ),
    ],
    ids=["another best", "another size", "hardly tried together"],
)
def test_what_only_makes_sense_together(scores: list[list[float]], end: str) -> None:
    grids = ("sgd", "adam"), (1e-4, 3e-3, 1e-1)
    pair = Interaction("optimizer", "learning_rate", *grids, np.array(scores), 0.1)
    lines = warnings(Findings((), (pair,)), used([0.1] * 25), SPACE)
    assert lines[-1].endswith(end)


def more_units_and_no_sgd(values: Mapping[str, Value]) -> float:
    units = np.log2(float(values.get("units_1", 4)))
    return float(0.7 + 0.02 * units - 0.05 * (values["optimizer"] == "sgd"))


def small_rates_and_no_penalty(values: Mapping[str, Value]) -> float:
    rate, penalty = float(values["learning_rate"]), float(values["l2"])
    return float(0.9 - 0.02 * (np.log10(rate) + 3.5) ** 2 - 2 * penalty**0.5)


@pytest.mark.parametrize(
    "score", [best_at_a_quarter, more_units_and_no_sgd, small_rates_and_no_penalty]
)
@pytest.mark.parametrize("n_trials", [40, 120])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_proposal_is_a_smaller_space_with_the_best_config_in_it(
    score: Score, n_trials: int, seed: int
) -> None:
    study = study_of(score, n_trials, seed=seed)
    known = evidence(study, SPACE)
    overrides = proposal(findings(known, SPACE), known, SPACE)
    narrowed = SPACE.narrow(overrides)
    best = max(range(len(known)), key=lambda i: known.scores[i])
    assert narrowed.contains(known.records[best][1].parsed_config())
    assert overrides or n_trials < 100
    for override in overrides:
        name = override.partition("=")[0]
        domain = narrowed.domains[name]
        assert domain.text() != SPACE.domains[name].text()


def test_what_is_unclear_is_left_alone() -> None:
    known = known_of(lambda _: 0.9, 60)
    assert proposal(findings(known, SPACE), known, SPACE) == []


@pytest.mark.parametrize(
    ("name", "grid", "loss", "best", "override"),
    [
        ("dropout", DROPOUTS, [2, 1, 0, 0, 1, 2, 3], 0.2, "dropout=0.1..0.4"),
        ("dropout", DROPOUTS, [2, 1, 0, 0, 1, 2, 3], 0.55, "dropout=0.1..0.55"),
        ("dropout", DROPOUTS, [0, 0, 0, 0, 0, 1, 3], 0.2, None),
        ("units_1", (4, 16, 64, 256), [3, 2, 2, 0], 200, "units_1=64..256"),
        ("learning_rate", RATES, [0, 2, 2, 2], 0.0005, "learning_rate=0.0001..0.001"),
        (
            "learning_rate",
            (0.000123, 0.00123, 0.0123, 0.0987),
            [2, 0, 2, 2],
            0.001234,
            "learning_rate=0.00012..0.013",
        ),
        ("l2", (0.0, 1e-6, 1e-4, 1e-2), [0, 0, 2, 2], 0.0, "l2=0..0.0001"),
        ("l2", (0.0, 1e-6, 1e-4, 1e-2), [2, 2, 2, 0], 0.005, "l2=0.0001..0.01"),
        ("optimizer", ("sgd", "adam", "adamw"), [2, 0, 0], "adam", "optimizer=adam,adamw"),
        ("optimizer", ("sgd", "adam", "adamw"), [2, 0, 0], "sgd", None),
    ],
)
def test_the_proposed_range(
    name: str,
    grid: Sequence[Value],
    loss: Sequence[float],
    best: Value,
    override: str | None,
) -> None:
    own = SPACE.domains[name]
    found = Findings((replace(effect(own, grid, loss), name=name),), ())
    tried = [own.stored(value) for value in [best, *(each for each in grid for _ in range(6))]]
    # Of the trials that must stay inside only the first uses it.
    values = ({name: tried[0]}, {}, {}, {}, *({name: value} for value in tried))
    known = replace(used([0] * len(values)), values=values)
    overrides = proposal(found, known, SPACE)
    assert overrides == ([override] if override else [])
    SPACE.narrow(overrides)


def test_a_choice_that_was_hardly_tried_is_not_taken_out() -> None:
    own = SPACE.domains["optimizer"]
    found = Findings(
        (replace(effect(own, ("sgd", "adam", "adamw"), [2, 0, 0]), name="optimizer"),), ()
    )
    values: list[dict[str, Value]] = [
        {"optimizer": value} for value in ["adam"] * 20 + ["sgd"] * 2
    ]
    known = replace(used([0] * 22), values=tuple(values))
    assert proposal(found, known, SPACE) == []


def test_the_limits_tell_how_many_scores_are_expected_ones() -> None:
    study = new_study()
    add(study, None, curve={1.0: 0.5, 4.0: 0.6})
    add(study, None, curve={1.0: 0.5}, state="pruned")
    lines = limits(evidence(study, SPACE))
    assert len(lines) == 4
    assert lines[-1].startswith("The scores of 1 trial of 2 that were pruned")
