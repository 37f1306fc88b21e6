"""The pruner audit: who is let finish, what that may cost, and what is said of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipelines.segment import SegmentResult
from search import audit as audits
from search import study as studies
from search.book import TrialBook
from search.settings import Settings
from search.study import Record, read
from tests.fakes import SPACE, TASK, FakeLog, new_study

METRIC = TASK.goal.metric


def rows(*scores: float) -> list[dict[str, float]]:
    return [{"epoch": float(epoch), METRIC: score} for epoch, score in enumerate(scores, 1)]


def ended(state: Any, *scores: float, audited_from: float = 0.0) -> Record:
    """A trial with a score an epoch, each of which took 60 seconds."""
    best = max(rows(*scores), key=lambda row: row[METRIC])
    return Record(
        {},
        seed=0,
        state=state,
        rows=rows(*scores),
        best=best,
        epoch=float(len(scores)),
        train_seconds=60.0 * len(scores),
        audited_from=audited_from,
    )


def a_study(*records: Record) -> optuna.Study:
    study = new_study()
    for record in records:
        studies.write(study, study.ask(), record)
    return study


def test_about_one_in_five_is_drawn_and_always_the_same_ones() -> None:
    drawn = [audits.is_drawn(seed) for seed in range(2000)]
    assert drawn == [audits.is_drawn(seed) for seed in range(2000)]
    assert 0.17 < sum(drawn) / len(drawn) < 0.23


def test_the_purse_pays_whole_trainings_from_a_tenth_of_all_epochs() -> None:
    purse = audits.Purse(whole_training=10)
    for _ in range(9):
        purse.count(ended("completed", *[0.5] * 10))
    assert not purse.pays(0)
    purse.count(ended("pruned", *[0.5] * 10))
    assert purse.pays(0)
    assert not purse.pays(1)  # one that is still at it is paid already
    purse.count(ended("completed", *[0.5] * 10, audited_from=4.0))
    assert not purse.pays(0)


def test_a_study_without_pruning_has_no_audit() -> None:
    assert audits.audit(a_study(ended("completed", 0.5, 0.6))) is None


def test_what_pruning_saved_and_cost() -> None:
    found = audits.audit(
        a_study(
            ended("completed", 0.5, 0.7, 0.8, 0.8),
            ended("completed", 0.4, 0.5, 0.6, 0.9, audited_from=2.0),
            ended("pruned", 0.3),
            ended("pruned", 0.2, 0.3),
            ended("failed", 0.1),
        )
    )
    assert found is not None
    assert (found.n_trials, found.n_pruned) == (4, 2)
    (audited,) = found.audited
    assert audited == audits.Audited(1, epoch=2.0, then=0.5, score=0.9, place=1)
    assert found.saved_seconds == pytest.approx(60 * (3 + 2))
    assert found.extra_seconds == pytest.approx(60 * 2)
    assert found.trained_seconds == pytest.approx(60 * 11)
    assert found.n_lost == 1
    assert found.most_lost == 1.0
    assert audits.lines(found) == [
        "Of 4 trials 3 fell behind at a rung; 2 of these were ended there.",
        (
            "That saved about 5.0 of 14.0 minutes of training, had they trained as long as the others"
            " do on average."
        ),
        "1 drawn by chance was let finish, for 2.0 minutes of training: 1 came out among the best 5.",
        "So of those that were ended at most 100% would have (95 % bound).",
    ]


def test_the_bound_falls_with_every_audited_trial_that_was_no_loss() -> None:
    good = [ended("completed", 0.9)] * audits.TOP
    bounds = []
    for count in (1, 10, 30):
        weak = [ended("completed", 0.2, 0.3, audited_from=1.0)] * count
        found = audits.audit(a_study(*good, *weak, ended("pruned", 0.1)))
        assert found is not None
        assert found.n_lost == 0
        bounds.append(found.most_lost)
    # All but one part in twenty of the chance to see none: 1 - 0.05 ** (1 / n).
    assert bounds == pytest.approx([0.95, 0.2589, 0.0950], abs=1e-4)


def test_without_an_audited_trial_the_cost_is_said_to_be_unknown() -> None:
    found = audits.audit(a_study(ended("completed", 0.5, 0.6), ended("pruned", 0.1)))
    assert found is not None
    assert "nothing is known of what pruning has cost" in audits.lines(found)[-1]


def segment(epoch: float, score: float, **changes: Any) -> SegmentResult:
    row = {"epoch": epoch, METRIC: score, "val_loss": 1.0}
    plain = SegmentResult(
        rows=[row], best=row, reached=True, stop=None, checkpoint=b"", summary="", n_parameters=1,
        build_seconds=0.0, train_seconds=1.0, total_seconds=1.0,
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.mark.parametrize("drawn", [True, False])
def test_a_drawn_trial_goes_on_where_another_is_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, drawn: bool
) -> None:
    monkeypatch.setattr(audits, "is_drawn", lambda _: drawn)
    monkeypatch.setattr(audits, "EXTRA_EPOCHS", 10.0)
    study = new_study()
    book = TrialBook(TASK, SPACE, study, Settings(runs_dir=tmp_path), TASK.training, FakeLog())
    first, second = book.ask(), book.ask()
    for active, score in ((first, 0.9), (second, 0.1)):
        book.opened(active)
        book.trained(active, segment(1.0, score))
        book.keep([active])
    assert first.record.state == "running"
    assert second.record.state == "pruned"  # nothing has been trained that could pay for it
    book.trained(first, segment(9.0, 0.95, stop="finished"))
    book.keep([first])

    third = book.ask()
    book.opened(third)
    book.trained(third, segment(1.0, 0.2))
    book.keep([third])
    if not drawn:
        assert third.record.state == "pruned"
        return
    assert (third.record.state, third.record.audited_from) == ("running", 1.0)
    book.trained(third, segment(2.0, 0.1))  # is judged no more, and nobody is judged by it
    assert third.record.state == "running"
    assert list(study.trials[third.number].intermediate_values) == [1]
    book.trained(third, segment(9.0, 0.3, stop="finished"))
    book.keep([third])
    stored = read(study.trials[third.number])
    assert stored is not None
    assert stored.state == "completed"
    assert stored.note == (
        "all epochs trained; it would have been pruned at epoch 1, and was let finish"
    )
