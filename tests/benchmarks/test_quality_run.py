"""How a case is started, and what is read of it. Nothing is trained."""

import math
import sqlite3
import sys
from pathlib import Path
from unittest import mock

import optuna
import pytest

from benchmarks import no_pruning, quality_run
from benchmarks.peers.shared import Order
from benchmarks.quality_cases import OURS, PLAIN, Case
from benchmarks.quality_results import Point, Result
from benchmarks.quality_run import EarlyEndError, Event
from search.pruner import SparingHalving
from search.study import Record
from spaces.config import Config
from spaces.presets import PRESETS


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([(1.0, 0.5), (2.0, 0.4), (3.0, 0.6)], [(1.0, 0.5), (3.0, 0.6)]),
        ([(3.0, 0.6), (1.0, 0.5)], [(1.0, 0.5), (3.0, 0.6)]),
        ([(9.0, 0.5), (10.0, 0.6), (10.1, 0.9)], [(9.0, 0.5), (10.0, 0.6)]),
        ([(1.0, 0.5), (2.0, 0.5)], [(1.0, 0.5)]),
    ],
    ids=["none", "worse", "unsorted", "too late", "equal"],
)
def test_a_trajectory_is_the_best_so_far_within_the_budget(
    events: list[Point], expected: list[Point]
) -> None:
    found = quality_run.trajectory([Event(*event) for event in events], 10.0)
    assert [(event.seconds, event.score) for event in found] == expected


def test_scores_come_from_mlflow_and_configs_from_the_study(tmp_path: Path) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    for state in ("completed", "failed"):
        record = Record({"of": state}, seed=0, state=state)
        study.ask().set_user_attr("record", dict(vars(record)))
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE metrics (run_uuid, key, value, timestamp, is_nan)")
        connection.execute("CREATE TABLE tags (run_uuid, key, value)")
        connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?, ?, ?)",
            [
                ("a", "val_auc", 0.8, 1_002_500, False),
                ("b", "val_auc", 0.0, 1_003_000, True),
                ("a", "best_val_auc", 0.9, 1_004_000, False),
            ],
        )
        connection.executemany(
            "INSERT INTO tags VALUES (?, ?, ?)",
            [("a", "trial", "0"), ("a", "stage", "trial"), ("b", "trial", "1")],
        )
    connection.close()
    events, n_failed = quality_run.logged_events(tmp_path, "val_auc", began=1000.0)
    assert events == [Event(2.5, 0.8, {"of": "completed"})]
    assert n_failed == 1


def test_a_search_that_never_came_to_mlflow_has_no_scores(tmp_path: Path) -> None:
    assert quality_run.logged_events(tmp_path, "val_auc", began=0.0) == ([], 0)
    assert list(tmp_path.iterdir()) == []


def test_a_peers_scores_are_read_without_those_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    order = Order("churn", 0, False, False, tmp_path, began=0.0, ends=0.0)
    config = PRESETS["churn_mlp_6_6"].config
    assert quality_run.written_events(path) == ([], 0)
    order.add_score(0.7, config)
    order.add_score(math.nan, config)
    order.add_failure("diverged")
    (event,), n_failed = quality_run.written_events(path)
    assert (event.score, n_failed) == (0.7, 1)
    assert Config.model_validate(event.config) == config


def run_as(words: list[str], budget: float, system: str = "optuna") -> Result:
    case = Case("churn", system, PLAIN, 0)
    with mock.patch("benchmarks.quality_run.command", return_value=words):
        return quality_run.run(case, budget)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit(3)", "ended after 0 s, exit status 3"),
        ("print('the reason')", "the reason"),
    ],
    ids=["error", "early"],
)
def test_a_case_that_ended_early_is_no_result(program: str, message: str) -> None:
    with pytest.raises(EarlyEndError, match=message):
        run_as([sys.executable, "-c", program], budget=60.0)


def test_a_search_of_ours_may_end_before_its_time_but_not_by_an_error() -> None:
    with pytest.raises(EarlyEndError, match="no score"):
        run_as([sys.executable, "-c", ""], budget=60.0, system=OURS)
    with pytest.raises(EarlyEndError, match="ended after 0 s, exit status 3"):
        run_as([sys.executable, "-c", "raise SystemExit(3)"], budget=60.0, system=OURS)


def test_a_case_without_a_score_is_no_result() -> None:
    with pytest.raises(EarlyEndError, match="no score, exit status 3"):
        run_as([sys.executable, "-c", "raise SystemExit(3)"], budget=1.0)


def test_the_search_is_started_as_a_user_would(tmp_path: Path) -> None:
    words = quality_run.command(Case("churn", OURS, "one_worker", 3), 180.0, tmp_path, 0.0)
    assert Path(words[0]).name == "hpsearch"
    line = " ".join(words[1:])
    assert line.startswith("search churn --seed 3 ")
    assert "--budget 180s" in line
    assert line.endswith("--workers 1")


def test_the_search_without_pruning_has_a_command_of_its_own(tmp_path: Path) -> None:
    words = quality_run.command(Case("churn", OURS, "no_pruning", 3), 180.0, tmp_path, 0.0)
    assert " ".join(words[1:]).startswith("-m benchmarks.no_pruning search churn --seed 3 ")


def test_without_pruning_no_trial_falls_behind() -> None:
    judged = []

    def search() -> None:
        study = optuna.create_study(direction="maximize", pruner=SparingHalving())
        for score in (0.9, 0.1, 0.2):
            trial = study.ask()
            trial.report(score, 1)
            judged.append(trial.should_prune())

    with mock.patch("search.cli.main", search), mock.patch("search.fork_server.start"):
        no_pruning._main()
    assert judged == [False] * 3


def test_a_peer_is_told_what_counts_against_its_time(tmp_path: Path) -> None:
    words = quality_run.command(Case("fashion", "optuna", "presets", 1), 600.0, tmp_path, 1234.5)
    line = " ".join(words[1:])
    assert line.startswith("-m benchmarks.peers optuna fashion --seed 1 --variant presets")
    assert "--began 1234.5 --budget 600.0" in line
