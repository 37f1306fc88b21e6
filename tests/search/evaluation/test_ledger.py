"""The ledger: every opening counted, scored or not."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from search.evaluation import ledger
from search.evaluation.ledger import (
    Opening,
    Score,
    latest,
    ledger_line,
    openings,
    write_opened,
    write_scored,
)

PLANNED = Opening(
    task="digits",
    study="digits-1",
    metric="accuracy",
    data_digest="abc",
    trial=17,
    config={"network": {"layers": [{"units": 8}]}},
    seeds=(11, 12),
    epochs=3.0,
    promised=0.95,
    command="hpsearch evaluate digits",
)
ACCURACY = Score((0.94, 0.942), (0.9283, 0.9537), (0.92, 0.96))
SCORES = {"accuracy": ACCURACY, "calibration_error": Score((0.01, 0.02), (0.0, 0.04))}


def scored(runs_dir: Path, opening: Opening) -> Opening:
    done = replace(opening, scores=SCORES, failed={13: "it diverged"}, thresholds=(0.25, 0.5))
    write_scored(runs_dir, done)
    return done


def open_times(runs_dir: Path, count: int) -> None:
    for _ in range(count):
        write_opened(runs_dir, PLANNED)


def test_what_was_scored_is_read_again(tmp_path: Path) -> None:
    done = scored(tmp_path, write_opened(tmp_path, PLANNED))
    assert done.number == 1
    assert done.time.endswith("+00:00")
    assert openings(tmp_path, "digits", "digits-1") == [done]
    assert latest(tmp_path, "digits", "digits-1", 17) == done


def test_a_line_says_means_and_gap_to_people(tmp_path: Path) -> None:
    scored(tmp_path, write_opened(tmp_path, PLANNED))
    (line,) = (tmp_path / "ledger" / "digits.jsonl").read_text().splitlines()
    read = json.loads(line)
    assert read["scores"]["accuracy"]["mean"] == pytest.approx(0.941)
    assert read["gap"] == pytest.approx(-0.009)
    assert read["config"] == PLANNED.config


def test_an_opening_counts_though_its_scores_never_came(tmp_path: Path) -> None:
    write_opened(tmp_path, PLANNED)
    done = scored(tmp_path, write_opened(tmp_path, PLANNED))
    lost = write_opened(tmp_path, PLANNED)
    assert (done.number, lost.number) == (2, 3)
    assert lost.gap is None
    assert [each.number for each in openings(tmp_path, "digits", "digits-1")] == [1, 2, 3]
    assert latest(tmp_path, "digits", "digits-1", 17) == done


def test_studies_and_tasks_are_counted_apart(tmp_path: Path) -> None:
    write_opened(tmp_path, PLANNED)
    assert write_opened(tmp_path, replace(PLANNED, study="digits-2")).number == 1
    assert write_opened(tmp_path, replace(PLANNED, task="iris")).number == 1
    assert write_opened(tmp_path, PLANNED).number == 2


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert openings(tmp_path, "digits", "digits-1") == []
    assert latest(tmp_path, "digits", "digits-1", 17) is None
    assert list(tmp_path.iterdir()) == []


def test_a_crash_while_writing_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scored(tmp_path, write_opened(tmp_path, PLANNED))

    def cut(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_whole", cut)
        with pytest.raises(OSError, match="No space"):
            write_opened(tmp_path, PLANNED)
    assert openings(tmp_path, "digits", "digits-1") == [before]


def test_openings_at_the_same_moment_are_all_counted(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=open_times, args=(tmp_path, 20)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    numbers = [each.number for each in openings(tmp_path, "digits", "digits-1")]
    assert numbers == list(range(1, 61))


def test_the_line_says_score_interval_and_count(tmp_path: Path) -> None:
    def line(trial: int | None = 17) -> str:
        return ledger_line(tmp_path, "digits", "digits-1", trial)

    assert line() == "the sealed test set has not been opened for this study"
    opening = write_opened(tmp_path, PLANNED)
    assert line() == "test set opened once for this study, its score never came to be known"
    scored(tmp_path, opening)
    score = "0.9410 (95 %: 0.9283 to 0.9537 over 2 seeds, 0.9200 to 0.9600 over test rows)"
    assert line() == f"test accuracy {score}, opened once for this study"
    assert line(None) == line()
    write_opened(tmp_path, PLANNED)
    assert line() == f"test accuracy {score}, opened 2 times for this study"


def test_a_score_is_not_said_of_another_trial(tmp_path: Path) -> None:
    scored(tmp_path, write_opened(tmp_path, PLANNED))
    assert latest(tmp_path, "digits", "digits-1", 18) is None
    line = ledger_line(tmp_path, "digits", "digits-1", 18)
    assert line.startswith("t018 has not been tested; t017 has: test accuracy 0.9410 (")
    again = scored(tmp_path, write_opened(tmp_path, replace(PLANNED, trial=18)))
    assert latest(tmp_path, "digits", "digits-1", 18) == again
    assert ledger_line(tmp_path, "digits", "digits-1", 18).endswith(
        "opened 2 times for this study"
    )


def test_the_line_counts_what_was_opened_for_other_studies(tmp_path: Path) -> None:
    write_opened(tmp_path, replace(PLANNED, study="baselines digits_mlp", trial=None))
    write_opened(tmp_path, replace(PLANNED, study="digits-2"))
    line = ledger_line(tmp_path, "digits", "digits-1", 17)
    assert line == (
        "the sealed test set has not been opened for this study, but once for other studies"
    )
    write_opened(tmp_path, replace(PLANNED, study="digits-3"))
    scored(tmp_path, write_opened(tmp_path, PLANNED))
    assert ledger_line(tmp_path, "digits", "digits-1", 17).endswith(
        "opened once for this study and 2 times for other studies"
    )


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (Score((0.5,)), "0.5000 (1 seed)"),
        (Score((0.5,), sampling=(0.4, 0.6)), "0.5000 (95 %: 0.4000 to 0.6000 over test rows)"),
        (Score((0.5, 0.6), (0.3, 0.8)), "0.5500 (95 %: 0.3000 to 0.8000 over 2 seeds)"),
    ],
)
def test_an_interval_is_said_where_there_is_one(score: Score, text: str) -> None:
    assert score.text.startswith(text)
