"""The tutorials' models measured again, in earnest, on iris and on the churn table."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines import sources
from pipelines.classical import CLASSICAL
from pipelines.tasks import TASKS
from search.evaluation import baselines as module
from search.evaluation.baselines import baselines
from search.evaluation.ledger import filed_openings
from search.evaluation.measurements import Measurements
from search.settings import Settings
from search.tracking.tracker import Tracker
from spaces.config import Config
from spaces.domains import Int
from spaces.errors import InputError
from spaces.presets import PRESETS
from tests.inline import InlineEngine

# Keras 3.15 saves a model by a call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MLP = PRESETS["iris_mlp_32"]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[InlineEngine]:
    """The engines that were opened: they do their work in this process."""
    engines: list[InlineEngine] = []

    @contextmanager
    def open_engine(_: int) -> Iterator[InlineEngine]:
        engines.append(InlineEngine())
        yield engines[-1]

    monkeypatch.setattr(module, "local_engine", open_engine)
    return engines


def measure(folder: Path, task: str, **changes: Any) -> str:
    said = io.StringIO()
    console = Console(file=said, width=200)
    settings = Settings(runs_dir=folder, trials=3)
    baselines(
        TASKS[task],
        settings,
        None,
        console=console,
        command="hpsearch baselines",
        **{"page": folder / "results.md", **changes},
    )
    return said.getvalue()


@pytest.fixture
def short_iris(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, MLP.name, replace(MLP, config=MLP.config.with_epochs(40)))


@pytest.mark.usefixtures("short_iris")
def test_iris_is_trained_scored_and_tested(tmp_path: Path, in_process: list[InlineEngine]) -> None:
    said = measure(tmp_path, "iris", draws=3)
    found = Measurements(tmp_path, "iris").of("iris_mlp_32")
    assert [m.draw for m in found] == [0, 1, 2]
    assert all(m.validation["val_accuracy"] > 0.8 for m in found)
    assert all(0.7 < m.test["accuracy"] <= 1.0 for m in found)
    assert all(
        round(m.test["accuracy"] * 30) == pytest.approx(m.test["accuracy"] * 30) for m in found
    )
    assert len({m.test["loss"] for m in found}) == 3
    assert "Opening the sealed test rows for 3 trainings: they choose nothing." in said
    assert not list((tmp_path / "baselines" / "iris").glob("*.keras"))


@pytest.mark.usefixtures("short_iris", "in_process")
def test_the_opening_stands_in_the_ledger(tmp_path: Path) -> None:
    measure(tmp_path, "iris", draws=2)
    (opening,) = filed_openings(tmp_path, "iris", "baselines iris_mlp_32")
    found = Measurements(tmp_path, "iris").of("iris_mlp_32")
    assert opening.seeds == (0, 1)
    assert opening.scores["accuracy"].values == tuple(m.test["accuracy"] for m in found)
    assert opening.promised == pytest.approx(
        np.mean([m.validation["val_accuracy"] for m in found])
    )


@pytest.mark.usefixtures("short_iris")
def test_a_second_call_opens_nothing(tmp_path: Path, in_process: list[InlineEngine]) -> None:
    measure(tmp_path, "iris", draws=2)
    assert measure(tmp_path, "iris", draws=2) == ""
    assert in_process[1].sent == []
    assert len(filed_openings(tmp_path, "iris", "baselines iris_mlp_32")) == 1
    measure(tmp_path, "iris", draws=3)
    again = filed_openings(tmp_path, "iris", "baselines iris_mlp_32")
    assert [len(each.seeds) for each in again] == [2, 3]


@pytest.mark.usefixtures("short_iris", "in_process")
def test_every_training_is_a_run_of_its_own(tmp_path: Path) -> None:
    measure(tmp_path, "iris", draws=1)
    (measured,) = Measurements(tmp_path, "iris").of("iris_mlp_32")
    run = Tracker.open(tmp_path, None)._client.get_run(measured.run_id)
    expected = {"stage": "baseline", "preset": "iris_mlp_32", "draw": "0", "state": "completed"}
    assert expected.items() <= run.data.tags.items()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_accuracy"] == measured.test["accuracy"]
    assert run.data.metrics["best_val_accuracy"] == measured.validation["val_accuracy"]


@pytest.mark.usefixtures("in_process")
def test_xor_has_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = PRESETS["xor_8_4"]
    monkeypatch.setitem(PRESETS, preset.name, replace(preset, config=preset.config.with_epochs(2)))
    assert "Opening" not in measure(tmp_path, "xor", draws=1)
    (measured,) = Measurements(tmp_path, "xor").of("xor_8_4")
    assert measured.test == {}


@pytest.mark.usefixtures("in_process")
def test_churn_stands_beside_the_models_of_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sources.find("churn", None) is None:
        pytest.skip(f"no churn table: name its folder in {sources.DATA_DIR_VARIABLE}")
    preset = PRESETS["churn_mlp_6_6"]
    quick = Config.model_validate({**preset.config.model_dump(), "training": {"epochs": 1}})
    monkeypatch.setitem(PRESETS, preset.name, replace(preset, config=quick))
    boosting, logistic = CLASSICAL["churn"]
    fast = replace(boosting, domains={**boosting.domains, "max_iter": Int(5, 20)})
    monkeypatch.setitem(CLASSICAL, "churn", (fast, logistic))
    said = measure(tmp_path, "churn", draws=2)
    store = Measurements(tmp_path, "churn")
    for name in ("boosting", "logistic"):
        found = store.of(name)
        assert [m.draw for m in found] == [0, 1]
        assert found[0].config == found[1].config
        assert found[0].config["tuned_trials"] == 3
        assert found[0].validation["val_auc"] != found[1].validation["val_auc"]  # other folds
        assert all(m.test["auc"] > 0.7 for m in found)
        assert len(filed_openings(tmp_path, "churn", f"baselines {name}")) == 1
    assert store.of("boosting")[0].test["auc"] > store.of("logistic")[0].test["auc"]
    assert "Opening the sealed test rows for 6 trainings" in said
    assert "Tuning" not in measure(tmp_path, "churn", draws=3)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("task", "names", "said"),
    [
        ("digits", (), "There are no presets for digits"),
        ("iris", ("iris_mlp",), "Unknown preset 'iris_mlp'. Did you mean 'iris_mlp_32'"),
    ],
)
def test_what_cannot_be_measured_is_said(
    tmp_path: Path, task: str, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        measure(tmp_path, task, names=names)
    assert not list(tmp_path.iterdir())


def test_a_page_without_a_place_is_said_before_anything_is_trained(
    tmp_path: Path, in_process: list[InlineEngine]
) -> None:
    page = tmp_path / "results.md"
    page.write_text("my own page")
    with pytest.raises(InputError, match="has no lines <!-- results:iris -->"):
        measure(tmp_path / "mlruns", "iris", page=page)
    assert in_process == []
