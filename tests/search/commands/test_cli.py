"""The command line's answers where nothing needs to be trained: help, and bad input."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from pipelines.sources import DATA_DIR_VARIABLE
from search import cli
from search.commands.command_line import command_line
from spaces.presets import PRESETS
from spaces.spaces import SPACES

COMMANDS = [
    *("search", "train", "space", "presets", "leaderboard", "ui"),
    *("export", "evaluate", "predict", "baselines"),
    *("plan", "show", "compare", "report", "dashboard", "doctor"),
]
CONFIG = PRESETS["mnist_conv_net"].config.to_yaml()
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Runs the command line in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["hpsearch", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        printed = capsys.readouterr()
        return Answer(status, printed.out, printed.err)

    return run


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


BAD: list[tuple[list[str], str]] = [
    (["search", "fasion"], r"Unknown task 'fasion'\. Did you mean 'fashion'\? Choose from: churn"),
    (["train", "nope", "--preset", "x"], "Unknown task 'nope'"),
    (["space", "nope"], "Unknown task 'nope'"),
    (["presets", "nope"], "Unknown task 'nope'"),
    (["leaderboard", "nope"], "Unknown task 'nope'"),
    (["export", "nope"], "Unknown task 'nope'"),
    (["search", "digits", "--set", "droput=0.1"], "Unknown hyperparameter 'droput'.*'dropout'"),
    (["space", "digits", "--set", "droput=0.1"], "Unknown hyperparameter 'droput'.*'dropout'"),
    (["search", "digits", "--set", "optimizer"], "Cannot read 'optimizer': write name=value"),
    (["search", "digits", "--set", "optimizer=adam", "l2"], "Cannot read 'l2': write name=value"),
    (["search", "digits", "--set", "optimizer=adamm"], "'adamm' is none of its values.*adam"),
    (["search", "digits", "--set", "learning_rate=0.1..0.001"], r"upside down: 0\.1\.\.0\.001"),
    (["search", "digits", "--set", "learning_rate=7"], r"7 lies outside.*0\.0001\.\.0\.1"),
    (["search", "digits", "--set", "learning_rate=1e-9..1e-3"], "1e-09 lies outside"),
    (["plan", "digits", "--set", "blocks=1", "filters_3=8"], "Unknown hyperparameter 'filters_3'"),
    (["plan", "fashion", "--set", "blocks=1", "filters_3=64"], "'filters_3=64' would never be"),
    (["plan", "digits", "--seed", "-1"], "--seed must be at least 0, got -1"),
    (["search", "digits", "--set", "units_1=lots"], "a whole number is needed, got 'lots'"),
    (["search", "digits", "--budget", "0"], "--budget needs a time such as"),
    (["search", "digits", "--budget", "0m"], "--budget must be longer than 0, got '0m'"),
    (["search", "digits", "--budget", "soon"], "--budget needs a time.*got 'soon'"),
    (["search", "digits", "--timeout", "-5m"], "--timeout needs a time.*got '-5m'"),
    (["search", "digits", "--from", "digits-1"], "There is no study of digits"),
    (["search", "digits", "--warm-start", "iris"], "There is no study of iris"),
    (["search", "digits", "--warm-start", "digits"], "is the task of this search itself"),
    (["search", "digits", "--trials", "0"], "--trials must be at least 1, got 0"),
    (["search", "digits", "--workers", "0"], "--workers must be at least 1, got 0"),
    (["search", "digits", "--epochs", "0"], "--epochs must be at least 1, got 0"),
    (["search", "digits", "--seed", "-1"], "--seed must be at least 0, got -1"),
    (["train", "mnist", "--preset", "mnist_convnet"], "Unknown preset 'mnist_convnet'.*mnist_"),
    (["train", "mnist"], "needs either --preset NAME or --config FILE"),
    (
        ["train", "mnist", "--preset", "mnist_conv_net", "--config", "a.yaml"],
        "needs either --preset NAME or --config FILE",
    ),
    (["train", "mnist", "--config", "missing.yaml"], r"Cannot read the config missing\.yaml"),
    (["leaderboard", "digits"], r"no study of digits.*run `hpsearch search digits` first"),
    (["export", "digits"], r"no study of digits.*run `hpsearch search digits` first"),
    (["leaderboard", "digits", "--runs-dir", "other"], r"no other/optuna\.db"),
    (["ui"], "run `hpsearch search` first"),
    (["search", "fashion", "--data-dir", "nowhere"], "nowhere.*train-images-idx3-ubyte"),
    (["search", "churn", "--data-dir", "nowhere"], "nowhere"),
    (["train", "mnist", "--preset", "mnist_conv_net", "--data-dir", "nowhere"], "nowhere"),
    (
        ["search", "digits", "--tracking-uri", "http://127.0.0.1:9"],
        "Nothing answers at the MLflow address http://127.0.0.1:9",
    ),
    (["search", "digits", "--storage", "nonsense"], "Cannot use the Optuna storage nonsense"),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD]
)
def test_bad_input_ends_in_one_sentence_and_writes_nothing(
    ask: Ask, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    answer = ask(*arguments)
    assert answer.status == 2, answer
    assert re.search(sentence, answer.err), answer.err
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("hpsearch: ")
    assert answer.out == ""
    assert files(tmp_path) == set()


def test_a_data_folder_named_by_the_environment_is_where_files_are_missing(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "nowhere"))
    answer = ask("search", "fashion")
    assert answer.status == 2
    assert str(tmp_path / "nowhere") in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(tmp_path) == set()


BAD_CONFIGS: list[tuple[str, str]] = [
    ("", "a config is needed"),
    ("just words", "a config is needed"),
    ("network: [", "is not YAML"),
    (CONFIG.replace("learning_rate:", "learning_rat:"), "learning_rat"),
    (re.sub(r"  learning_rate: .*\n", "", CONFIG), r"optimization\.learning_rate is missing"),
    (re.sub(r"learning_rate: .*", "learning_rate: fast", CONFIG), "learning_rate.*'fast'"),
    (re.sub(r"learning_rate: .*", "learning_rate: -1", CONFIG), "learning_rate.*-1"),
    (re.sub(r"optimizer: .*", "optimizer: lion", CONFIG), "optimizer.*'lion'"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_CONFIGS)
def test_a_config_that_cannot_be_read_is_named_with_its_field(
    ask: Ask, tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    answer = ask("train", "mnist", "--config", "mine.yaml")
    assert answer.status == 2
    assert re.search(sentence, answer.err), answer.err
    assert "mine.yaml" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(tmp_path) == {"mine.yaml"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serch"], "serch"),
        (["search", "digits", "--trails", "3"], "--trails"),
        (["search", "digits", "--trials", "many"], "--trials"),
        (["search", "digits", "--precision", "float16"], "--precision"),
        (["search", "digits", "--set"], "--set"),
        (["leaderboard", "digits", "--format", "xml"], "--format"),
        (["leaderboard", "digits", "--top", "0"], "--top"),
        (["leaderboard"], "task"),
        (["ui", "--port", "0"], "--port"),
    ],
)
def test_wrong_usage_names_the_word(
    ask: Ask, tmp_path: Path, arguments: list[str], named: str
) -> None:
    answer = ask(*arguments)
    assert answer.status == 2
    assert named in answer.err.lower().splitlines()[-1]
    assert "Traceback" not in answer.err
    assert files(tmp_path) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(ask: Ask, command: str) -> None:
    answer = ask(command, "--help")
    assert answer.status == 0
    assert f"Example: hpsearch {command}" in answer.out
    assert max(len(line) for line in answer.out.splitlines()) <= 80
    assert "Traceback" not in answer.out + answer.err


def test_help_lists_every_command(ask: Ask) -> None:
    answer = ask("--help")
    assert answer.status == 0
    assert "Example: hpsearch search" in answer.out
    group = typer.main.get_command(cli.app)
    assert set(COMMANDS) == set(group.commands)  # type: ignore[attr-defined] # it is a group
    assert all(f"  {command} " in answer.out for command in COMMANDS)


def test_without_a_command_there_is_the_help(ask: Ask) -> None:
    answer = ask()
    assert "Example: hpsearch search" in answer.out + answer.err


@pytest.mark.parametrize("task", SPACES)
def test_a_space_prints_itself(ask: Ask, task: str) -> None:
    answer = ask("space", task)
    assert answer.status == 0
    for name, domain in SPACES[task].domains.items():
        assert re.search(rf"^{name} ", answer.out, re.MULTILINE)
        assert domain.about[:20] in answer.out
    assert max(len(line.rstrip()) for line in answer.out.splitlines()) <= 80


def test_a_narrowed_space_prints_what_is_left(ask: Ask) -> None:
    answer = ask("space", "digits", "--set", "optimizer=adam", "learning_rate=1e-3..1e-2")
    assert answer.status == 0
    assert re.search(r"^optimizer +adam$", answer.out, re.MULTILINE)
    assert re.search(r"^learning_rate +0\.001\.\.0\.01", answer.out, re.MULTILINE)


@pytest.mark.parametrize("task", SPACES)
def test_presets_are_listed(ask: Ask, task: str) -> None:
    answer = ask("presets", task)
    assert answer.status == 0
    for preset in PRESETS.values():
        assert (f"{preset.name} " in answer.out) == (preset.task == task)


def test_the_command_is_recorded_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["search", "digits", "--set", "optimizer=adam", "--storage"]
    typed += ["postgresql://me:sec@ret@host/db", "--tracking-uri=https://me:secret@host:5000"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/hpsearch", *typed])
    assert command_line() == (
        "hpsearch search digits --set optimizer=adam --storage 'postgresql://me:***@host/db'"
        " '--tracking-uri=https://me:***@host:5000'"
    )


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (["dashboard"], "dashboard"),
        (["dashboard", "TASK=fashion"], "dashboard fashion"),
        (
            ["plan", "SEED=3", "EPOCHS=9", "FINALISTS=2", "SET=a=1 b=2"],
            "plan digits --seed 3 --epochs 9 --finalists 2 --set a=1 b=2",
        ),
    ],
)
def test_make_hands_over_what_it_is_given(
    target: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TASK", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of the make that runs the tests
        monkeypatch.delenv(name, raising=False)
    dry = ["make", "--dry-run", "--assume-old=.venv/ready", *target]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True)
    assert " ".join(done.stdout.split()) == f".venv/bin/hpsearch {said}"


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["space", "digits"]])
def test_what_needs_no_libraries_loads_none(arguments: list[str]) -> None:
    heavy = {"tensorflow", "keras", "mlflow", "optuna", "distributed", "pandas", "sklearn"}
    heavy |= {"sqlalchemy", "numpy"}
    program = (
        f"import sys; sys.argv = ['hpsearch', *{arguments!r}]\n"
        "import search.cli\n"
        "try:\n    search.cli.main()\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"
