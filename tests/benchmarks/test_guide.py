"""The guide's evidence: what is varied, kept, drawn and written down. One real XOR is trained."""

import json
import math
import re
from pathlib import Path

import pytest

from benchmarks import guide, guide_pictures
from benchmarks import guide_results as results
from benchmarks.guide_results import Outcome
from benchmarks.guide_sweeps import SWEEPS, Values


def outcome(digest: str, seed: int = 0, *scores: float, diverged: bool = False) -> Outcome:
    curve = list(scores) or [0.5, 0.7 + 0.01 * seed]
    return Outcome(
        digest=digest,
        seed=seed,
        n_parameters=121,
        seconds=2.0,
        score=[] if diverged else curve,
        train_loss=[] if diverged else [1.0 for _ in curve],
        val_loss=[] if diverged else [2.0 for _ in curve],
        train_score=None if diverged else curve[-1] + 0.1,
        last={} if diverged else {"val_accuracy": 0.8, "val_f1": 0.6},
    )


def store(name: str, case: Values, folder: Path, seed: int = 0, *scores: float) -> None:
    results.keep(name, outcome(results.digest_of(SWEEPS[name], case), seed, *scores), folder)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_case_of_a_sweep_is_another_training(name: str) -> None:
    sweep = SWEEPS[name]
    assert len({results.digest_of(sweep, case) for case in sweep.cases}) == len(sweep.cases)
    assert len({results.describe(case) for case in sweep.cases}) == len(sweep.cases)


def test_a_case_changes_the_base_where_it_says_and_nowhere_else() -> None:
    sweep = SWEEPS["augmentation"]
    base, changed = sweep.config({}), sweep.config({"shift": 0.1, "conv_dropout": 0.3})
    assert changed.augmentation == base.augmentation.model_copy(update={"shift": 0.1})
    assert [block.dropout for block in changed.network.blocks] == [0.3, 0.3]
    assert [layer.dropout for layer in changed.network.layers] == [0.0]
    assert changed.optimization == base.optimization


def test_what_is_stored_is_not_trained_again_and_is_read_as_it_was(tmp_path: Path) -> None:
    sweep = SWEEPS["columns"]
    every = results.missing("columns", tmp_path)
    assert len(every) == len(sweep.cases) * sweep.seeds
    assert [seed for _, seed in every[: len(sweep.cases)]] == [0] * len(sweep.cases)
    made = [outcome(results.digest_of(sweep, {"embedding": 8}), seed) for seed in (1, 0)]
    for each in made:
        results.keep("columns", each, tmp_path)
    assert len(results.missing("columns", tmp_path)) == len(every) - 2
    assert results.trainings("columns", tmp_path) == [({"embedding": 8}, made[::-1])]


def test_trainings_of_a_case_that_is_no_more_are_dropped(tmp_path: Path) -> None:
    results.keep("columns", outcome("of_an_older_config"), tmp_path)
    store("columns", {}, tmp_path)
    kept = json.loads((tmp_path / "columns.json").read_text())["results"]
    assert [each["digest"] for each in kept] == [results.digest_of(SWEEPS["columns"], {})]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({}, "as it is"),
        ({"units": (), "activation": "tanh"}, "units none, activation tanh"),
        ({"filters": (8, 16), "flip": True, "residual": False}, "filters 8-16, flip, no residual"),
        ({"learning_rate": 1 / 256}, "learning_rate 0.00391"),
    ],
)
def test_a_case_is_described_in_words(case: Values, words: str) -> None:
    assert results.describe(case) == words


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "50.00"),
        ([0.5, 0.6], "55.00 ± 7.07"),
        ([0.5, math.nan, 0.6], "diverged 1 of 3"),
        ([math.nan], "diverged"),
    ],
)
def test_a_spread_names_the_trainings_that_diverged(values: list[float], text: str) -> None:
    assert results.spread(values) == text


def test_noise_is_that_of_the_better_half() -> None:
    good = [outcome("a", seed, end) for seed, end in enumerate((0.80, 0.81, 0.82))]
    bad = [outcome("b", seed, end) for seed, end in enumerate((0.1, 0.4, 0.7))]
    measured = results.noise([({}, good), ({"l2": 1.0}, bad)])
    assert measured is not None
    assert measured[0] == pytest.approx(1.0)
    # Student's t for 2 degrees of freedom is 4.303; a difference of two means of three.
    assert measured[1] == pytest.approx(4.303 * (2 / 3) ** 0.5, abs=0.001)


def test_without_a_second_seed_there_is_no_noise_to_speak_of() -> None:
    found: results.Trainings = [({}, [outcome("a")])]
    assert results.noise(found) is None
    assert results.table("columns", found).endswith("One seed each.")


@pytest.mark.parametrize(
    ("score", "patience", "expected"),
    [
        ([0.5, 0.6, 0.5, 0.5, 0.9], 2, (4, 0.6)),
        ([0.5, 0.6, 0.5, 0.7, 0.6], 2, (5, 0.7)),
        ([0.5, 0.5, 0.5], 2, (3, 0.5)),
        ([0.5, 0.6], 9, (2, 0.6)),
    ],
    ids=["misses a later peak", "is spared by a new best", "equal is not better", "never stops"],
)
def test_patience_stops_where_the_training_would_have(
    score: list[float], patience: int, expected: tuple[int, float]
) -> None:
    assert results.stopped(score, patience) == expected


def test_a_table_has_the_learning_rates_in_columns(tmp_path: Path) -> None:
    for case, end in zip(SWEEPS["batch_norm"].cases, (0.8, 0.81, 0.82, 0.83, 0.84), strict=False):
        store("batch_norm", case, tmp_path, 0, end)
    text = results.table("batch_norm", results.trainings("batch_norm", tmp_path))
    assert text.splitlines()[:4] == [
        "| learning_rate: | 0.0003 | 0.003 | 0.03 |",
        "| --- | ---: | ---: | ---: |",
        "| batch_norm none | 80.00 | 81.00 | 82.00 |",
        "| batch_norm before | 83.00 | 84.00 |  |",
    ]


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("trained", ["all", "one", "others diverged"])
def test_a_sweep_is_drawn_and_shown_whatever_is_trained_of_it(
    name: str, trained: str, tmp_path: Path
) -> None:
    sweep, bad = SWEEPS[name], trained == "others diverged"
    found: results.Trainings = [
        (case, [outcome("a", seed, diverged=bad and number > 0) for seed in range(2)])
        for number, case in enumerate(sweep.cases[: 1 if trained == "one" else None])
    ]
    assert guide_pictures.draw(name, found, tmp_path).read_bytes().startswith(b"\x89PNG")
    assert results.table(name, found).startswith("| ")


def test_the_guide_is_renewed_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "guide.md"
    page.write_text("a\n<!-- guide:xor -->\nold\n<!-- /guide:xor -->\nb\n")
    assert results.renew("xor", "new", page)
    assert page.read_text() == "a\n<!-- guide:xor -->\nnew\n<!-- /guide:xor -->\nb\n"
    assert not results.renew("units", "new", page)


def test_all_that_is_stored_is_on_the_page_of_tables(tmp_path: Path) -> None:
    page = tmp_path / "tables.md"
    store("columns", {"embedding": 8}, tmp_path)
    results.write_tables(page, tmp_path)
    assert re.findall(r"^## (\w+)$", page.read_text(), re.MULTILINE) == ["columns"]
    assert "| embedding 8 | 70.00 | 10.00 | 80.00 | 60.00 | 121 | 1 |" in page.read_text()


def test_the_guide_shows_every_sweep_with_the_command_that_repeats_it() -> None:
    page = results.DOCS.read_text()
    assert set(re.findall(r"\]\(guide/(\w+)\.png\)", page)) == set(SWEEPS)
    assert {word for line in _commands(page) for word in line.split()} >= set(SWEEPS)


def _commands(page: str) -> list[str]:
    return re.findall(r"python -m benchmarks\.guide ([a-z_ ]+)", page)


def test_the_commands_of_the_guide_name_sweeps_that_exist() -> None:
    named = {word for line in _commands(results.DOCS.read_text()) for word in line.split()}
    assert named <= set(SWEEPS)


def test_a_training_ends_with_all_that_is_shown_of_it() -> None:
    case = SWEEPS["xor"].cases[-1]
    made = guide.train("xor", case, 0)
    epochs = SWEEPS["xor"].config(case).training.epochs
    assert [len(made.score), len(made.train_loss), len(made.val_loss)] == [epochs] * 3
    assert made.n_parameters == 2 * 8 + 8 + 8 + 1
    # The four rows of XOR are train and validation at once.
    assert made.train_score == made.end == made.last["val_accuracy"]
    assert made.val_loss[-1] < made.val_loss[0]
