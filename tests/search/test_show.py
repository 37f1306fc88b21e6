"""One trial on a page: in words, in 80 columns, whatever became of it."""

import io
from pathlib import Path

import optuna
import pytest
import typer
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from pipelines.tasks import TASKS
from search.commands import trials as cli_trials
from search.config_words import sentences
from search.finalists.verdict import Retraining, store
from search.one_trial import input_shape, numbered, place
from search.settings import Settings
from search.show import next_steps, thinned, trial_page
from search.space_check import draws
from search.storage import open_storage
from spaces.config import Training
from spaces.errors import InputError
from spaces.presets import PRESETS
from spaces.spaces import SPACES
from tests.fakes import new_study
from tests.hand_made import CNN, METRIC, a_record, add

MNIST = TASKS["mnist"]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def study() -> optuna.Study:
    """t000 and t001 completed, t002 pruned, t003 diverged, t004 interrupted, t005 just asked."""
    found = new_study()
    found.set_user_attr("task", "mnist")
    add(found, a_record(0.5, 0.9, 0.8), {1: 0.9})
    add(found, a_record(0.6, 0.95, run_id="abc", preset="mnist_conv_net"), {1: 0.95})
    pruned = a_record(0.3, 0.4, state="pruned", note="not in the better half at epoch 2")
    add(found, pruned, {1: 0.4})
    add(found, a_record(state="failed", cause="diverged", note="the loss was no number"))
    add(found, a_record(0.7, state="interrupted", note=""))
    found.ask()
    return found


def shown(study: optuna.Study, called: str, settings: Settings | None = None) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    number, record = numbered(study, called)
    console.print(trial_page(MNIST, study, number, record))
    for line in next_steps(MNIST, study, settings or Settings(), number, record, "fake-study"):
        console.print(line, soft_wrap=True)
    return console.export_text()


def joined(text: str) -> str:
    """Without the line ends of a narrow terminal."""
    return " ".join(text.split())


def test_a_completed_trial(study: optuna.Study) -> None:
    text = shown(study, "1")
    said = joined(text)
    assert text.startswith("t001 cnn 3x32-64-64 d64 adam")
    assert "A convolutional network of three blocks of one 3x3 convolution each" in said
    assert "28 - 3 + 1 = 26; 32 x (3x3x1 + 1) = 320" in said
    assert "93,322" in said
    assert "Completed (early stopping: no better for 4 epochs)." in said
    assert "first 0.6000, best 0.9500 at epoch 2, last 0.9500 at epoch 2" in said
    assert "Place 1 of 2 completed trials." in said
    assert "Accuracy 0.0100 higher on the training rows" in said
    assert "Cost: 2 epochs of 2 s, 5.0 s of a worker" in said
    assert "http://127.0.0.1:5000/#/runs/abc (after hpsearch ui)" in text
    assert "hpsearch export mnist --trial 1 --study fake-study" in text


@pytest.mark.parametrize("called", [str(number) for number in range(5)])
def test_every_trial_fits_in_80_columns(study: optuna.Study, called: str) -> None:
    assert max(len(line) for line in shown(study, called).splitlines()) <= 80


def test_a_pruned_trial_is_held_against_those_that_came_so_far(study: optuna.Study) -> None:
    said = joined(shown(study, "t002"))
    assert "Pruned (not in the better half at epoch 2)." in said
    assert "At epoch 2, 2 of 2 other trials were better." in said
    assert "hpsearch export" not in said


def test_a_failed_trial_says_why(study: optuna.Study) -> None:
    said = joined(shown(study, "3"))
    assert "Failed, diverged (the loss was no number)." in said
    assert "Cost" not in said


def test_an_interrupted_trial_says_how_it_goes_on(study: optuna.Study) -> None:
    said = joined(shown(study, "4"))
    assert "Interrupted (at epoch 1)." in said
    assert "Go on: the command that began the search goes on with it" in said


def test_what_can_be_trained_again_is_said(study: optuna.Study) -> None:
    settings = Settings(runs_dir=Path("my runs"))
    config = settings.runs_dir / "artifacts" / "abc" / "artifacts" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CNN.to_yaml())
    text = shown(study, "1", settings)
    options = f"--config '{config}' --seed 11 --runs-dir 'my runs'"
    assert f"hpsearch train mnist {options}" in text
    assert "(after hpsearch ui --runs-dir 'my runs')" in text


def test_a_run_on_a_server_is_linked_there(study: optuna.Study) -> None:
    server = Settings(tracking_uri="https://me:secret@mlflow.example/")
    text = shown(study, "1", server)
    assert "MLflow:      https://me:***@mlflow.example/#/runs/abc\n" in text
    assert "secret" not in text


def test_the_best_is_the_winner_of_the_finalists(study: optuna.Study) -> None:
    assert numbered(study, "best")[0] == 1
    for draw in range(3):
        store(study, Retraining(0, draw, draw, {METRIC: 0.92 + draw / 1000}, 3.0, 6.0))
        store(study, Retraining(1, draw, draw, {METRIC: 0.90 + draw / 1000}, 3.0, 6.0))
    assert numbered(study, "best")[0] == 0
    said = joined(shown(study, "best"))
    assert "Trained again on 3 fresh seeds: mean val_accuracy 0.9210" in said
    assert "where the search had 0.9000." in said
    assert "It is the winner." in said


def test_a_finalist_that_failed_says_so(study: optuna.Study) -> None:
    store(study, Retraining(0, 0, 0, {METRIC: 0.92}, 3.0, 6.0))
    store(study, Retraining(1, 0, 0, {}, 1.0, 1.0, cause="diverged"))
    said = joined(shown(study, "1"))
    assert "Failed on 1 fresh seed: diverged." in said
    assert "It failed where others did not, so it cannot win." in said


@pytest.mark.parametrize(
    ("called", "sentence"),
    [
        ("6", "fake-study has no trial 6: its last one is t005."),
        (
            "5",
            (
                "t005 of fake-study has not been begun: the command that began the study goes on"
                " with it."
            ),
        ),
        ("-1", "A trial is a number such as 17, or 'best', got '-1'."),
        ("first", "A trial is a number such as 17, or 'best', got 'first'."),
        ("1.5", "A trial is a number such as 17, or 'best', got '1.5'."),
    ],
)
def test_a_trial_that_is_not_there(study: optuna.Study, called: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        numbered(study, called)
    assert str(error.value) == sentence


def test_a_study_without_trials() -> None:
    with pytest.raises(InputError, match="has no trial yet: run the command that began it"):
        numbered(new_study(), "0")
    with pytest.raises(InputError, match="has completed yet: run the command that began it for"):
        numbered(new_study(), "best")


def test_a_table_whose_networks_were_never_built_has_no_layers_to_show() -> None:
    study, churn = new_study(), TASKS["churn"]
    study.set_user_attr("task", "churn")
    config = PRESETS["churn_mlp_6_6"].config
    number = add(study, a_record(config=config, state="failed", cause="crashed", n_parameters=0))
    assert input_shape(churn, study) is None
    console = Console(width=80, file=io.StringIO(), record=True)
    record = numbered(study, "0")[1]
    console.print(trial_page(churn, study, number, record))
    assert "no network of this study has been built yet" in joined(console.export_text())
    add(study, a_record(0.8, config=config, n_parameters=121))
    assert input_shape(churn, study) == (11,)


def test_a_trial_that_was_never_judged_has_no_place() -> None:
    study = new_study()
    number = add(study, a_record(0.5, state="interrupted"))
    assert study.get_trials()[number].state == TrialState.RUNNING
    assert place(MNIST, study, number, numbered(study, "0")[1]) == ""


@pytest.mark.parametrize(
    ("values", "most", "expected"),
    [
        ([1.0], 4, [1.0]),
        ([1.0, 2.0, 3.0, 4.0], 4, [1.0, 2.0, 3.0, 4.0]),
        ([float(n) for n in range(101)], 3, [0.0, 50.0, 100.0]),
    ],
)
def test_thinned(values: list[float], most: int, expected: list[float]) -> None:
    assert thinned(values, most) == expected


@pytest.mark.parametrize("task", SPACES)
def test_every_config_can_be_said(task: str) -> None:
    for draw in draws(SPACES[task], Training(epochs=9, patience=3), 50):
        text = " ".join(sentences(draw.config))
        assert "None" not in text
        assert "  " not in text
        assert all(line.endswith(".") and not line[0].islower() for line in sentences(draw.config))


def test_what_differs_from_block_to_block_is_said() -> None:
    first, *_ = sentences(PRESETS["mnist_conv_net_batch_norm"].config)
    assert "max/max/no pooling and batch normalization after the activation of block 1" in first


def test_what_holds_a_network_back_is_said() -> None:
    text = " ".join(sentences(PRESETS["mnist_conv_net_augmented"].config))
    assert "Training images are shifted by up to 0.08 of the side, turned by up to 8 deg" in text
    assert "Held back by L2 0.0001." in sentences(PRESETS["mnist_conv_net_l2"].config)


def asked(folder: Path, *arguments: str) -> str:
    """What a command on the study stored in `folder` prints."""
    app = typer.Typer()
    app.add_typer(cli_trials.app)
    done = CliRunner().invoke(app, [*arguments, "--runs-dir", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands_find_study_and_trials(tmp_path: Path) -> None:
    storage = open_storage(tmp_path, None)
    stored = new_study(storage)
    stored.set_user_attr("task", "mnist")
    for score in (0.8, 0.9):
        add(stored, a_record(score, run_id="abc"))
    assert asked(tmp_path, "show", "mnist", "best").startswith("t001 cnn")
    export = f"hpsearch export mnist --trial 0 --runs-dir {tmp_path}"
    assert export in asked(tmp_path, "show", "mnist", "0")
    server = ("--tracking-uri", "http://mlflow.example")
    assert "http://mlflow.example/#/runs/abc" in asked(tmp_path, "show", "mnist", "0", *server)
    said = joined(asked(tmp_path, "compare", "mnist", "0", "best"))
    assert "t001 is 0.1000 better than t000" in said
    with pytest.raises(InputError, match="Name two to 5 trials to compare, got 1"):
        asked(tmp_path, "compare", "mnist", "0")
    with pytest.raises(InputError, match="There is no study of churn"):
        asked(tmp_path, "show", "churn", "0")
