"""The simulated search of the coordinator's benchmark. Nothing is timed."""

from pathlib import Path

from optuna.trial import TrialState

from benchmarks import coordinator, simulated_search
from benchmarks.simulated_search import TASK
from pipelines.runtime import Runtime
from pipelines.segment import Segment
from search import study as studies
from search.settings import Settings
from spaces.starts import STARTS


def segment(begin: float, until: float) -> Segment:
    config = STARTS[TASK.name]["start_plain"].with_epochs(TASK.training.epochs)
    place = {"how": Runtime(), "data_dir": None, "data_digest": "", "seconds": 20.0}
    return Segment("key", TASK.name, config, 1, begin=begin, until=until, **place)  # type: ignore[arg-type] # of a dict


def test_a_simulated_trial_comes_by_at_every_rung_and_on_the_way_to_the_last() -> None:
    came_back, epoch = [], 0.0
    for rung in studies.rungs(TASK.first_rung, TASK.training.epochs):
        result = None
        while result is None or not result.reached:
            result = simulated_search.trained(segment(epoch, rung), b"small")
            epoch = result.rows[-1]["epoch"]
            came_back.append((epoch, result.reached, result.stop))
    assert [epoch for epoch, reached, _ in came_back if reached] == [2, 4, 8, 16, 20]
    assert len(came_back) == 10
    assert came_back[-1] == (20, True, "finished")


def test_verdicts_are_part_of_what_is_measured() -> None:
    run = coordinator.results_a_second(40, 0, "churn", mlflow=False)
    assert sum(run["trials"].values()) == 40
    assert run["trials"]["pruned"] > run["trials"]["completed"] > 0
    assert run["results"] > 40


def test_a_filled_study_is_one_that_halving_might_have_left(tmp_path: Path) -> None:
    settings = Settings(runs_dir=tmp_path)
    study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
    simulated_search.fill(study, TASK.space, 64)
    trials = study.get_trials(deepcopy=False)
    at_rungs = [sum(step in each.intermediate_values for each in trials) for step in (1, 2, 4, 8)]
    assert at_rungs[0] == 64
    assert at_rungs == sorted(at_rungs, reverse=True)
    assert 16 < at_rungs[1] < 48
    completed = [each for each in trials if each.state == TrialState.COMPLETE]
    assert 0 < len(completed) <= at_rungs[-1]
    assert all(record.ended for each in trials if (record := studies.read(each)))
