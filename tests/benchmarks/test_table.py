"""The tables of trained configs, as they lie in the repository."""

import pytest

from benchmarks import table
from pipelines.tasks import find_task


@pytest.mark.parametrize("task", ["churn", "fashion"])
def test_a_table_is_gone_on_with_though_its_space_has_changed(task: str) -> None:
    """Churn's rows are older than the day on which its space lost `class_weight`."""
    rows, study = table.read(task), table._study(find_task(task))
    scores = [score for row in rows if (score := table.score_of(row)) is not None]
    assert len(study.trials) == len(rows)
    assert study.best_value == max(scores)
    assert set(study.trials[0].params) <= set(find_task(task).space.domains)
