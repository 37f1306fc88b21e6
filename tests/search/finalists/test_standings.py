"""What is said of finalists: the table, the sentences, the file."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from rich.console import Console

from search.finalists.selection import plan
from search.finalists.standings import finalists_table, summary, verdict_lines, why_taken
from search.finalists.verdict import Retraining, Standing, store
from search.settings import Settings
from search.study import Record
from search.view import retrained_line
from tests.fakes import TASK, new_study
from tests.search.finalists.scripted import METRIC, DrawingEngine, a_study, add, config, luck, run


def judged(task: str = "fake") -> optuna.Study:
    study = a_study([0.9321, 0.93, 0.91], {2: "mnist_conv_net"})
    study.set_user_attr("task", task)
    trained_again(study, [[0.929, 0.930, 0.928], [0.921, 0.922, 0.9205], [0.80, 0.801]])
    return study


def trained_again(study: optuna.Study, scores: Sequence[Sequence[float]]) -> None:
    """Scores by trial and draw."""
    for number, own in enumerate(scores):
        for draw, score in enumerate(own):
            best = {"epoch": 9.0, METRIC: score}
            store(study, Retraining(number, draw, draw, best, 9.0, 12.0 + number))


def shown(study: optuna.Study) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(finalists_table(study))
    return console.export_text().splitlines()


def test_the_table_has_a_line_a_finalist_in_80_columns() -> None:
    lines = shown(judged())
    assert lines[0].strip() == "Finalists: val_accuracy on fresh seeds"
    assert max(len(line) for line in lines) <= 80
    first, second = (next(line for line in lines if name in line) for name in ("t000", "t001"))
    assert first.split()[:4] == ["1", "t000", "0.9290", "±"]
    assert first.split()[5:11] == ["0.0010", "3", "100", "12", "s", "mlp"]
    assert second.split()[5:9] == ["0.0008", "3", "-0.0078", "101"]
    (dropped,) = (line for line in lines if "t002" in line)
    assert dropped.split()[0] == "-"


@pytest.mark.parametrize(
    "network",
    [
        {"embedding": 32, "layers": [{"units": 128}, {"units": 119}]},
        {
            "blocks": [{"filters": 64, "kernel_size": 3, "pooling": "max"}] * 3,
            "layers": [{"units": 128}],
        },
    ],
    ids=["mlp e32 d128-119 adamw", "cnn 3x64-64-64 d128 adamw"],
)
def test_a_usual_row_is_one_line_in_80_columns(network: dict[str, object]) -> None:
    study = new_study()
    how = {"optimizer": "adamw", "learning_rate": 0.1, "batch_size": 32, "weight_decay": 0.01}
    own = config(4).model_dump(mode="json", exclude_none=True)
    for score in (0.9, 0.8):
        add(
            study,
            score,
            config={**own, "network": network, "optimization": how},
            n_parameters=234_567,
        )
    trained_again(study, [[0.90, 0.91], [0.80, 0.82]])
    _, _, *rows = shown(study)
    assert len(rows) == 2
    assert all(row.rstrip().endswith("adamw") for row in rows)


def test_wide_values_stay_in_80_columns() -> None:
    study = new_study()
    for score in (0.9, 0.8):
        add(study, score, n_parameters=123_456_789, preset="mnist_conv_net_augmented")
    run(study, DrawingEngine(lambda number, draw: -0.5 - luck(number, draw)), draws=10)
    assert max(len(line) for line in shown(study)) <= 80


def test_the_lines_say_who_won_and_how_far_the_search_flattered_its_best() -> None:
    study = judged()
    outcome, promise = verdict_lines(study)
    assert outcome.startswith(
        "t000 is the best: mean val_accuracy 0.9290 over 3 fresh seeds, 0.0078 better than t001"
        " (95 % interval 0.00"
    )
    assert promise == (
        "t000, the search's best, scored 0.9321 in the search and 0.9290 ± 0.0010 on 3 fresh"
        " seeds: the search flattered it by 0.0031."
    )


def test_a_new_best_that_has_not_been_trained_again_is_told() -> None:
    study = judged()
    add(study, 0.94)
    assert verdict_lines(study)[-1] == (
        "t003, the search's best, has not been trained again yet: the same command goes on with"
        " it."
    )


def test_on_folds_the_lines_speak_of_folds() -> None:
    assert "over 3 folds" in verdict_lines(judged("digits"))[0]
    assert shown(judged("digits"))[0].strip() == "Finalists: val_accuracy on folds"


def test_a_tie_says_why_which_was_taken() -> None:
    study = new_study()
    for score, n_parameters in ((0.9, 100), (0.8, 200)):
        add(study, score, n_parameters=n_parameters)
    run(study, DrawingEngine(lambda number, draw: luck(number + 1, draw)))
    outcome = verdict_lines(study)[0]
    assert "are tied: their means of val_accuracy differ by" in outcome
    assert outcome.endswith("t000 was taken: it has fewer weights (100 against 200).")


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (13.0, "it has about as many weights and trains faster (10.0 s, 13.0)"),
        (11.0, "its mean is better, and they cost about the same"),
    ],
)
def test_as_many_weights_leave_the_time_or_the_mean(seconds: float, why: str) -> None:
    record = Record({}, seed=0, n_parameters=100)
    winner, other = (
        Standing(
            number, record, (Retraining(number, 0, 0, {}, 9.0, took),), 0.9, 0.1, (0, 1), False
        )
        for number, took in enumerate((10.0, seconds))
    )
    assert why_taken(winner, other) == why


def test_one_draw_each_decides_nothing() -> None:
    study = a_study([0.9, 0.8])
    run(study, DrawingEngine(luck), draws=1)
    assert verdict_lines(study)[0] == (
        "t001 leads: mean val_accuracy 0.9066 over 1 fresh seed, 0.0066 better than t000. One"
        " fresh seed each decides nothing yet. The same command goes on with more; --seeds sets"
        " how many."
    )
    assert "± -" in shown(study)[2]


def test_who_has_too_few_draws_is_marked() -> None:
    study = a_study([0.93, 0.92, 0.91])
    scores = [[0.90, 0.91], [0.89, 0.905], [0.95]]
    trained_again(study, scores)
    outcome, marked, _ = verdict_lines(study)
    assert outcome.startswith("t000 and t001 are tied")
    assert marked == "? t002: scored on fewer than 2 fresh seeds, too few to win yet."
    assert [line.split()[:2] for line in shown(study)[2:]] == [
        ["1", "t000"],
        ["2", "t001"],
        ["?", "t002"],
    ]


def test_who_alone_has_two_draws_only_leads() -> None:
    study = a_study([0.93, 0.92])
    trained_again(study, [[0.90, 0.91], [0.95]])
    assert verdict_lines(study)[0] == (
        "t000 leads: mean val_accuracy 0.9050 over 2 fresh seeds, and no other has so many yet,"
        " so nothing is decided. The same command goes on with more; --seeds sets how many."
    )


def test_a_single_finalist_is_called_so() -> None:
    study = a_study([0.9])
    run(study, DrawingEngine(luck))
    assert verdict_lines(study)[0].startswith(
        "t000 is the only finalist: mean val_accuracy 0.8995"
    )


def test_finalists_that_all_failed_are_told() -> None:
    study = a_study([0.9, 0.8])
    run(study, DrawingEngine(lambda *_: math.nan), draws=1)
    first, *failures = verdict_lines(study)
    assert first == (
        "No finalist could be trained on a fresh seed: t000, the best of them in the search, is kept."
    )
    assert failures == [f"t00{n} failed on 1 of 1 fresh seed (diverged)." for n in (0, 1)]
    assert max(len(line) for line in shown(study)) <= 80


def test_without_finalists_nothing_is_said() -> None:
    study = a_study([0.9])
    assert verdict_lines(study) == []
    assert finalists_table(study) is None
    assert summary(study) == ({}, {}, {})


def test_the_studys_run_gets_mean_winner_verdict_and_a_file() -> None:
    study = judged()
    metrics, tags, artifacts = summary(study)
    assert metrics == {"finalist_mean_val_accuracy": pytest.approx(0.929)}
    assert tags == {"winner": "t000", "verdict": " ".join(verdict_lines(study))}
    rows = list(csv.DictReader(io.StringIO(artifacts["finalists.csv"].decode())))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert [row["draw_2"] for row in rows] == ["0.928", "0.9205", ""]
    assert rows[0]["in_search"] == "0.9321"


def test_the_line_of_a_retraining_that_ended() -> None:
    study = a_study([0.9])
    attempt = plan(study, TASK, Settings())[0]
    attempt.record = replace(attempt.record, epoch=12.0, best={METRIC: 0.93123})
    line = retrained_line(attempt, METRIC).plain
    assert line == "finalist t000 seed 1  0.9312 at epoch 12   mlp d4 sgd"
    attempt.fail("diverged", "the loss was no number at epoch 12")
    assert "failed at epoch 12" in retrained_line(attempt, METRIC).plain
    assert retrained_line(attempt, METRIC).plain.endswith(": the loss was no number at epoch 12")
