"""The ledger: every opening counted, scored or not."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from search.evaluation import ledger
from search.evaluation.ledger import (
    Opening,
    Score,
    filed_openings,
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


def a_study(
    name: str = "digits-1", storage: optuna.storages.BaseStorage | None = None
) -> optuna.Study:
    study = optuna.create_study(study_name=name, storage=storage)
    study.set_user_attr("task", "digits")
    return study


def scored(runs_dir: Path, opening: Opening, study: optuna.Study | None = None) -> Opening:
    done = replace(opening, scores=SCORES, failed={13: "it diverged"}, thresholds=(0.25, 0.5))
    write_scored(runs_dir, done, study)
    return done


def open_times(runs_dir: Path, count: int) -> None:
    for _ in range(count):
        write_opened(runs_dir, PLANNED)


def test_what_was_scored_is_read_again(tmp_path: Path) -> None:
    done = scored(tmp_path, write_opened(tmp_path, PLANNED))
    assert done.number == 1
    assert done.time.endswith("+00:00")
    assert filed_openings(tmp_path, "digits", "digits-1") == [done]
    assert latest(tmp_path, a_study(), 17) == done


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
    assert [each.number for each in filed_openings(tmp_path, "digits", "digits-1")] == [1, 2, 3]
    assert latest(tmp_path, a_study(), 17) == done


def test_studies_and_tasks_are_counted_apart(tmp_path: Path) -> None:
    write_opened(tmp_path, PLANNED)
    assert write_opened(tmp_path, replace(PLANNED, study="digits-2")).number == 1
    assert write_opened(tmp_path, replace(PLANNED, task="iris")).number == 1
    assert write_opened(tmp_path, PLANNED).number == 2


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert filed_openings(tmp_path, "digits", "digits-1") == []
    assert latest(tmp_path, a_study(), 17) is None
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
    assert filed_openings(tmp_path, "digits", "digits-1") == [before]


def test_openings_at_the_same_moment_are_all_counted(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=open_times, args=(tmp_path, 20)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    numbers = [each.number for each in filed_openings(tmp_path, "digits", "digits-1")]
    assert numbers == list(range(1, 61))


def test_the_line_says_score_interval_and_count(tmp_path: Path) -> None:
    def line(trial: int | None = 17) -> str:
        return ledger_line(tmp_path, a_study(), trial)

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
    assert latest(tmp_path, a_study(), 18) is None
    line = ledger_line(tmp_path, a_study(), 18)
    assert line.startswith("t018 has not been tested; t017 has: test accuracy 0.9410 (")
    again = scored(tmp_path, write_opened(tmp_path, replace(PLANNED, trial=18)))
    assert latest(tmp_path, a_study(), 18) == again
    assert ledger_line(tmp_path, a_study(), 18).endswith("opened 2 times for this study")


def test_the_line_counts_what_was_opened_for_other_studies(tmp_path: Path) -> None:
    write_opened(tmp_path, replace(PLANNED, study="baselines digits_mlp", trial=None))
    write_opened(tmp_path, replace(PLANNED, study="digits-2"))
    line = ledger_line(tmp_path, a_study(), 17)
    assert line == (
        "the sealed test set has not been opened for this study, but once for other studies"
    )
    write_opened(tmp_path, replace(PLANNED, study="digits-3"))
    scored(tmp_path, write_opened(tmp_path, PLANNED))
    assert ledger_line(tmp_path, a_study(), 17).endswith(
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


# kept with the study


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/shared.db")


def test_another_folder_knows_of_the_openings_of_a_shared_study(
    tmp_path: Path, storage: optuna.storages.BaseStorage
) -> None:
    study = a_study(storage=storage)
    done = scored(tmp_path / "a", write_opened(tmp_path / "a", PLANNED, study), study)
    found = optuna.load_study(study_name="digits-1", storage=storage)
    assert openings(tmp_path / "b", found) == [done]
    assert latest(tmp_path / "b", found, 17) == done
    assert ledger_line(tmp_path / "b", found, 17).endswith("opened once for this study")
    second = write_opened(tmp_path / "b", PLANNED, found)
    assert second.number == 2
    assert openings(tmp_path / "a", found) == [done, second]


def test_openings_for_other_studies_of_a_shared_storage_are_counted_once(
    tmp_path: Path, storage: optuna.storages.BaseStorage
) -> None:
    other, study = a_study("digits-2", storage), a_study(storage=storage)
    a_study("digits-3", storage).set_user_attr("task", "iris")
    write_opened(tmp_path / "a", replace(PLANNED, study="digits-2"), other)
    for folder in ("a", "b"):
        line = ledger_line(tmp_path / folder, study, 17)
        assert line.endswith("not been opened for this study, but once for other studies")


def test_an_old_ledger_counts_and_is_brought_to_the_study(tmp_path: Path) -> None:
    study = a_study()
    old = scored(tmp_path / "a", write_opened(tmp_path / "a", PLANNED))
    assert openings(tmp_path / "a", study) == [old]
    assert openings(tmp_path / "b", study) == []
    second = write_opened(tmp_path / "a", PLANNED, study)
    assert openings(tmp_path / "b", study) == [old, second]


def test_first_openings_of_two_old_ledgers_are_two(tmp_path: Path) -> None:
    study = a_study()
    here = write_opened(tmp_path / "a", PLANNED, study)
    path = tmp_path / "b" / "ledger" / "digits.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(replace(here, time="2026-11-21T08:00:00+00:00").line() + "\n")
    assert [each.number for each in openings(tmp_path / "b", study)] == [1, 1]
    assert write_opened(tmp_path / "b", PLANNED, study).number == 3


def test_an_opening_is_counted_where_the_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_study()

    def cut(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "write_whole", cut)
    with pytest.raises(OSError, match="No space"):
        write_opened(tmp_path, PLANNED, study)
    assert [each.number for each in openings(tmp_path, study)] == [1]


def test_scores_that_the_storage_does_not_take_come_to_it_with_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_study()
    opening = write_opened(tmp_path / "a", PLANNED, study)

    def fail(*_: object) -> None:
        raise StorageInternalError

    with monkeypatch.context() as patch:
        patch.setattr(study, "set_user_attr", fail)
        done = scored(tmp_path / "a", opening, study)
    assert openings(tmp_path / "a", study) == [done]
    assert openings(tmp_path / "b", study) == [opening]
    write_opened(tmp_path / "a", PLANNED, study)
    assert openings(tmp_path / "b", study)[0] == done
