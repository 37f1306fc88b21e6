"""Studies that begin with what others found: in one database, with the real sampler and pruner."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from pipelines.tasks import TASKS
from search import results, warm_start
from search import study as studies
from search.coordinator import Coordinator
from search.sampler import ask
from search.settings import Settings
from search.study import Record
from spaces.config import Training
from spaces.domains import Choice, Float, Int
from spaces.errors import InputError
from spaces.presets import PRESETS
from spaces.space import Space
from spaces.spaces import SPACES
from tests.fake_engine import FakeClock, FakeEngine
from tests.fakes import SPACE, TASK, FakeLog, SilentView

GROWN = SPACE.replace(
    layers=Int(0, 3),
    units_2=Int(4, 64, log=True),
    units_3=Int(4, 64, log=True),
    optimizer=Choice("sgd", "adam", "adamw"),
    learning_rate=Float(1e-5, 1.0, log=True),
    dropout=Float(0.0, 0.5, step=0.05),
)
TRAINING = TASK.training


def opened(folder: Path, space: Space = SPACE, **changes: Any) -> optuna.Study:
    known = {"task": TASK, "training": TRAINING, "digest": "abc", **changes}
    return studies.open_study(
        Settings(runs_dir=folder), known["task"], space, known["training"], known["digest"]
    )


def searched(
    study: optuna.Study, folder: Path, trials: int, space: Space = SPACE, **engine: Any
) -> FakeEngine:
    workers = FakeEngine(**engine)
    Coordinator(
        TASK,
        space,
        study,
        workers,
        Settings(runs_dir=folder, trials=trials),
        training=TRAINING,
        data_digest="abc",
        log=FakeLog(),
        view=SilentView(),
        clock=FakeClock(),
    ).run()
    return workers


def taken_over(
    study: optuna.Study, old: optuna.Study, space: Space = GROWN, training: Training = TRAINING
) -> warm_start.Imported:
    return warm_start.import_trials(TASK, space, study, old, training)


def content(study: optuna.Study) -> list[object]:
    """What a study holds, as text: a loss that was no number does not equal itself."""
    return [
        (t.state, t.values, t.params, t.distributions, t.intermediate_values, attributes(t))
        for t in study.trials
    ]


def attributes(trial: FrozenTrial) -> str:
    return str([sorted(trial.user_attrs.items()), sorted(trial.system_attrs.items())])


def record_of(trial: FrozenTrial) -> Record:
    record = studies.read(trial)
    assert record is not None
    return record


@pytest.fixture
def old(tmp_path: Path) -> optuna.Study:
    """Twelve trials: some completed, some pruned, one diverged."""
    study = opened(tmp_path)
    broken = float("nan")
    heights = [0.5, 0.9, 0.6, 0.95, broken, 0.7, 0.4, 0.8, 0.3, 0.85, 0.65, 0.75]
    searched(study, tmp_path, 12, curve=lambda number: [heights[number]] * 99)
    states = {record_of(trial).state for trial in study.trials}
    assert states == {"completed", "pruned", "failed"}
    return study


# trials of a grown space


def test_a_grown_space_takes_all_trials_over(tmp_path: Path, old: optuna.Study) -> None:
    study = opened(tmp_path, GROWN)
    found = taken_over(study, old)
    assert found.text == f"12 of 12 finished trials of {old.study_name} taken over."
    for theirs, ours in zip(old.trials, study.trials, strict=True):
        assert (ours.state, ours.values) == (theirs.state, theirs.values)
        assert ours.intermediate_values == theirs.intermediate_values
        assert ours.constraints == theirs.constraints
        assert str(studies.read(ours)) == str(studies.read(theirs))
        assert set(ours.params) == set(GROWN.domains)
        config = record_of(ours).parsed_config()
        assert GROWN.sample(optuna.trial.FixedTrial(ours.params), TRAINING) == config


def test_what_was_taken_over_is_stored(tmp_path: Path, old: optuna.Study) -> None:
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    again = opened(tmp_path, GROWN)
    assert content(again) == content(study)
    read_by_others = studies.find_study(Settings(runs_dir=tmp_path), "fake", study.study_name)
    assert content(read_by_others) == content(study)


def test_no_trial_is_taken_over_twice(tmp_path: Path, old: optuna.Study) -> None:
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    found = taken_over(opened(tmp_path, GROWN), old)
    assert (found.taken, found.known) == (0, 12)
    assert "0 of 12 finished trials" in found.text
    assert found.text.endswith("taken over; 12 were here already.")
    assert len(study.trials) == 12


def test_a_trial_is_known_by_where_it_was_trained(tmp_path: Path, old: optuna.Study) -> None:
    middle, last_space = opened(tmp_path, GROWN), GROWN.replace(batch_size=Choice(16, 32, 64))
    taken_over(middle, old)
    last = opened(tmp_path, last_space)
    assert taken_over(last, middle, last_space).taken == 12
    assert taken_over(last, old, last_space).known == 12


def test_a_search_trains_as_many_trials_beside_imported_ones(
    tmp_path: Path, old: optuna.Study
) -> None:
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    engine = searched(study, tmp_path, 4, GROWN)  # those taken over do not count
    assert {job.number for job in engine.sent} == {12, 13, 14, 15}
    assert len(study.trials) == 16
    assert all(trial.state.is_finished() for trial in study.trials)
    shown = [number for number, _ in results.leaders(study, 16)]
    assert {0, 1, 3} <= set(shown)
    assert set(shown) & {12, 13, 14, 15} or study.trials[12].state == TrialState.PRUNED


def test_the_pruner_compares_with_imported_trials(tmp_path: Path, old: optuna.Study) -> None:
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    searched(study, tmp_path, 13, GROWN, curve=lambda _: [0.2] * 99)
    record = studies.read(study.trials[12])
    assert record is not None
    assert (record.state, record.epoch) == ("pruned", 1.0)


def test_tpe_draws_from_imported_trials(tmp_path: Path) -> None:
    """What was best everywhere is drawn again far more often than by chance."""
    old = opened(tmp_path)

    def height(number: int) -> float:
        record = studies.read(old.trials[number])
        config = record.parsed_config() if record else old.trials[number].params
        optimizer = (
            config["optimizer"] if isinstance(config, dict) else config.optimization.optimizer
        )
        return 0.9 if optimizer == "adam" else 0.1

    searched(old, tmp_path, 30, curve=lambda number: [height(number)] * 99)
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    drawn = [ask(study, GROWN).params["optimizer"] for _ in range(20)]
    assert drawn.count("adam") >= 14


@pytest.mark.parametrize(
    ("narrowed", "reason"),
    [
        ({"optimizer": Choice("adam")}, "outside the range of optimizer"),
        ({"learning_rate": Float(0.09, 0.1)}, "outside the range of learning_rate"),
    ],
)
def test_what_does_not_fit_stays_behind_and_is_said(
    tmp_path: Path, old: optuna.Study, narrowed: dict[str, Any], reason: str
) -> None:
    space = GROWN.replace(**narrowed)
    study = opened(tmp_path, space)
    fitting = [t for t in old.trials if space.contains(record_of(t).parsed_config())]
    if not fitting:
        with pytest.raises(InputError, match=f"12 {reason}. Leave --from out"):
            taken_over(study, old, space)
        return
    found = taken_over(study, old, space)
    assert (found.taken, sum(found.misfits.values())) == (len(fitting), 12 - len(fitting))
    assert f"not fitting: {12 - len(fitting)} {reason}." in found.text


def test_trials_of_another_length_do_not_fit(tmp_path: Path, old: optuna.Study) -> None:
    longer = TRAINING.model_copy(update={"epochs": 20})
    study = opened(tmp_path, GROWN, training=longer)
    with pytest.raises(InputError, match="not fitting: 12 trained for another length"):
        taken_over(study, old, training=longer)


def test_trials_that_were_judged_at_other_epochs_do_not_fit(
    tmp_path: Path, old: optuna.Study
) -> None:
    later = replace(TASK, first_rung=2)
    study = opened(tmp_path, GROWN)
    found = warm_start.import_trials(later, GROWN, study, old, TRAINING)
    assert found.misfits == {"judged at other epochs": 11}
    assert [t.constraints for t in study.trials] == [{"diverged": 1.0}]  # judged never


def test_crashed_and_open_trials_stay_behind(tmp_path: Path) -> None:
    old = opened(tmp_path)
    lost = {(0, job): "lost" for job in range(2)}
    searched(old, tmp_path, 3, faults=lost)
    old.ask()
    found = taken_over(opened(tmp_path, GROWN), old)
    assert (found.taken, found.misfits) == (2, {"crashed": 1})


def test_the_run_in_mlflow_goes_along(tmp_path: Path, old: optuna.Study) -> None:
    studies.write_run(old, 3, "run-logged-later")
    study = opened(tmp_path, GROWN)
    taken_over(study, old)
    record = studies.read(study.trials[3])
    assert record is not None
    assert studies.run_of(study, 3, record) == "run-logged-later"


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("task", "other", "its task is other, not fake"),
        ("metric", "val_auc", "its metric is val_auc, not val_accuracy"),
        ("data_digest", "xyz", "its data is xyz, not abc"),
    ],
)
def test_trials_of_other_tasks_or_data_are_refused(
    tmp_path: Path, old: optuna.Study, attribute: str, value: str, said: str
) -> None:
    study = opened(tmp_path, GROWN)
    old.set_user_attr(attribute, value)
    with pytest.raises(InputError, match=said):
        taken_over(study, old)
    assert not study.trials


def test_a_study_does_not_begin_with_itself(tmp_path: Path, old: optuna.Study) -> None:
    with pytest.raises(InputError, match="the study of this very search"):
        taken_over(opened(tmp_path), old, SPACE)


# the best of another task


MNIST, FASHION = SPACES["mnist"], SPACES["fashion"]


def mnist_study(folder: Path, *names: str) -> optuna.Study:
    """Completed trials of presets, each better than the one before."""
    study = opened(folder, MNIST, task=TASKS["mnist"], training=TASKS["mnist"].training)
    for rank, name in enumerate(names):
        trial = study.ask()
        config = PRESETS[name].config
        best = {"epoch": 9.0, "val_accuracy": 0.9 + rank / 100}
        record = studies.Record(config.model_dump(mode="json"), 1, "completed", best=best)
        studies.write(study, trial, record)
    return study


def fashion_study(folder: Path) -> optuna.Study:
    return opened(folder, FASHION, task=TASKS["fashion"], training=TASKS["fashion"].training)


def test_the_best_of_another_task_come_first(tmp_path: Path) -> None:
    names = ("mnist_mlp_300", "mnist_mlp_512", "mnist_conv_net")
    other, study = mnist_study(tmp_path, *names), fashion_study(tmp_path)
    assert warm_start.enqueue_from_task(study, FASHION, other, top=2) == 2
    first, second = ask(study, FASHION), ask(study, FASHION)
    assert [t.user_attrs["preset"] for t in (first, second)] == ["mnist t002", "mnist t001"]
    training = TASKS["fashion"].training
    config = FASHION.sample(first, training)
    asked = PRESETS["mnist_conv_net"].config
    assert [b.filters for b in config.network.blocks] == [b.filters for b in asked.network.blocks]
    assert config.optimization.learning_rate == 0.001
    assert config.training == training


def test_configs_that_become_the_same_are_queued_once(tmp_path: Path) -> None:
    other = mnist_study(tmp_path, "mnist_mlp_512", "mnist_mlp_512_512")
    space = FASHION.replace(layers=Int(0, 1))
    study = opened(tmp_path, space, task=TASKS["fashion"])
    assert warm_start.enqueue_from_task(study, space, other) == 1
    assert study.trials[0].user_attrs["preset"] == "mnist t001"


def test_a_study_without_a_completed_trial_gives_nothing(tmp_path: Path) -> None:
    other = mnist_study(tmp_path)
    with pytest.raises(InputError, match="has completed: run `hpsearch search mnist` first"):
        warm_start.enqueue_from_task(fashion_study(tmp_path), FASHION, other)


FITS = {
    "inside": ({"units_1": Int(16, 1024)}, ("units_1", 300)),
    "too large": ({"units_1": Int(16, 128)}, ("units_1", 128)),
    "too small": ({"units_1": Int(512, 1024)}, ("units_1", 512)),
    "nearest choice": ({"batch_size": Choice(64, 400, 1000)}, ("batch_size", 400)),
    "other optimizer": ({"optimizer": Choice("adam", "sgd")}, ("beta_2", 0.999)),
    "no such choice": ({"optimizer": Choice("nadam", "sgd")}, ("optimizer", "nadam")),
    "on a step": ({"learning_rate": Float(0.0003, 0.3, step=0.0003)}, ("learning_rate", 0.0009)),
    "zero of a log range": ({"l2": Float(1e-6, 1e-2, log=True)}, ("l2", 1e-6)),
    "zero belongs": ({"l2": Float(1e-6, 1e-2, log=True, zero=True)}, ("l2", 0.0)),
    "more layers": ({"layers": Int(2, 3), "units_2": Int(64, 256)}, ("units_2", 160)),
    "middle of orders": (
        {"layers": Int(2, 3), "units_2": Int(16, 256, log=True)},
        ("units_2", 64),
    ),
}


@pytest.mark.parametrize(("changed", "expected"), FITS.values(), ids=FITS)
def test_a_config_becomes_the_nearest_of_the_space(
    changed: dict[str, Any], expected: tuple[str, object]
) -> None:
    space = FASHION.replace(units_1=Int(16, 1024), units_2=Int(16, 1024)).replace(**changed)
    config = warm_start.fitted_into(space, PRESETS["mnist_mlp_300"].config)
    assert space.contains(config)
    name, value = expected
    assert config.parameters()[name] == pytest.approx(value)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_any_config_of_any_task_fits_into_any_space(name: str, seed: int) -> None:
    for other in SPACES.values():
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
        config = other.sample(trial, TRAINING)
        fitted = warm_start.fitted_into(SPACES[name], config)
        assert SPACES[name].contains(fitted)
        if other is SPACES[name]:
            assert fitted == config


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_any_preset_fits_into_any_space(preset: Any) -> None:
    for space in SPACES.values():
        assert space.contains(warm_start.fitted_into(space, preset.config))
