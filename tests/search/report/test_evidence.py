"""What trials tell of their configs: completed, pruned, diverged, and those that do not count."""

import math
from typing import Any

import numpy as np
import optuna
import pytest

from search.report.evidence import Evidence, evidence
from tests.fakes import new_study
from tests.search.report.known import CONFIG, SPACE, add

HALF = {1.0: 0.5, 2.0: 0.6, 4.0: 0.7}
BETTER = {1.0: 0.6, 2.0: 0.7, 4.0: 0.8}


def known(study: optuna.Study) -> Evidence:
    return evidence(study, SPACE)


def test_a_completed_trial_has_its_own_score() -> None:
    study = new_study()
    add(study, None, curve=HALF)
    add(study, None, curve=BETTER)
    found = known(study)
    assert found.scores.tolist() == [0.7, 0.8]
    assert found.measured.all()
    assert found.at_epoch is None
    assert found.values[0]["units_1"] == 32
    assert [number for number, _ in found.records] == [0, 1]


def test_a_pruned_trial_is_expected_to_gain_what_others_gained() -> None:
    study = new_study()
    add(study, None, curve=HALF)
    add(study, None, curve=BETTER)
    add(study, None, curve={1.0: 0.55}, state="pruned")
    add(study, None, curve={1.0: 0.3, 2.0: 0.4}, state="pruned")
    found = known(study)
    assert found.scores[2:].tolist() == pytest.approx([0.75, 0.5])
    assert found.measured.tolist() == [True, True, False, False]


def test_nobody_is_expected_to_beat_all_who_were_measured() -> None:
    study = new_study()
    add(study, None, curve=HALF)
    add(study, None, curve={1.0: 0.69}, state="pruned")
    assert known(study).scores[1] == pytest.approx(0.7)


def test_from_five_completed_trials_on_who_is_behind_gains_more() -> None:
    study = new_study()
    for start in (0.5, 0.55, 0.6, 0.65, 0.7):
        # Each gains half of what it lacks to 0.9.
        add(study, None, curve={1.0: start, 8.0: start + (0.9 - start) / 2})
    add(study, None, curve={1.0: 0.4}, state="pruned")
    assert known(study).scores[-1] == pytest.approx(0.65)


def test_a_loss_falls_as_a_score_rises() -> None:
    study = optuna.create_study(direction="minimize")
    study.set_user_attr("metric", "val_loss")
    add(study, None, curve={1.0: 0.9, 4.0: 0.4})
    add(study, None, curve={1.0: 1.0}, state="pruned")
    add(study, None, state="failed", cause="diverged")
    found = known(study)
    assert found.sign == -1
    assert found.scores.tolist() == pytest.approx([0.4, 0.5, 0.5])


def test_where_none_has_completed_trials_are_compared_where_all_have_been() -> None:
    study = new_study()
    add(study, None, curve=HALF, state="pruned")
    add(study, None, curve={1.0: 0.5, 2.0: 0.65}, state="pruned")
    found = known(study)
    assert found.at_epoch == 2.0
    assert found.scores.tolist() == [0.6, 0.65]
    assert not found.measured.any()


def test_a_config_that_diverges_is_as_bad_as_the_worst() -> None:
    study = new_study()
    add(study, None, curve=HALF)
    add(study, None, curve=BETTER)
    add(study, 0.95, state="failed", cause="diverged")
    add(study, None, state="failed", cause="diverged")
    assert known(study).scores.tolist() == [0.7, 0.8, 0.7, 0.7]


@pytest.mark.parametrize(
    "trial",
    [
        {"reached": 0.9, "state": "failed", "cause": "out of memory"},
        {"reached": 0.9, "state": "failed", "cause": "crashed"},
        {"reached": 0.9, "state": "running"},
        {"reached": 0.9, "state": "interrupted"},
        {"reached": None, "state": "pruned"},
        {"reached": math.nan, "state": "completed"},
    ],
    ids=lambda trial: f"{trial['state']} {trial.get('cause', '')} {trial['reached']}",
)
def test_what_says_nothing_of_a_score_is_no_evidence(trial: dict[str, Any]) -> None:
    study = new_study()
    add(study, 0.5)
    add(study, **trial)
    assert len(known(study)) == 1
    assert known(study).left_out == 0


@pytest.mark.parametrize(
    "config",
    [
        CONFIG | {"network": {"layers": [{"units": 999}]}},
        CONFIG | {"network": {"layers": [{"units": 32, "of_an_older_version": 1}]}},
    ],
    ids=["outside", "of another version"],
)
def test_configs_that_are_not_of_this_space_are_counted_and_left_out(
    config: dict[str, object],
) -> None:
    study = new_study()
    add(study, 0.5)
    add(study, 0.9, config=config)
    found = known(study)
    assert found.scores.tolist() == [0.5]
    assert found.left_out == 1


@pytest.mark.parametrize("n_diverged", [0, 3])
def test_without_any_score_there_is_no_evidence(n_diverged: int) -> None:
    study = new_study()
    study.ask()  # not sent to a worker yet
    for _ in range(n_diverged):
        add(study, None, state="failed", cause="diverged")
    found = known(study)
    assert len(found) == 0
    assert found.scores.shape == found.measured.shape == (0,)


def test_a_record_without_its_rows_still_counts() -> None:
    study = new_study()
    add(study, 0.7)
    add(study, 0.4, state="pruned", epoch=2.0)
    assert np.allclose(known(study).scores, [0.7, 0.4])
