"""A real search, its export, and the proof of the exported script, by the real command line."""

import json
from pathlib import Path

import pytest

from tests.end_to_end import commands


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iris")
    commands.run(folder, "search", "iris", "--trials", "6", "--epochs", "20", "--seeds", "5")
    return folder


def test_an_export_proves_itself(searched: Path) -> None:
    output = commands.run(searched, "export", "iris", "--verify")
    exported = searched / "exports" / "iris"
    scores = json.loads((exported / "scores.json").read_text())
    assert scores["verified"] is True
    low, high = scores["verification"]["interval"]
    assert low <= scores["verification"]["score"] <= high
    assert f"val_accuracy: {scores['verification']['score']:.6f}" in output
    card = (exported / "MODEL_CARD.md").read_text()
    assert "Verified in a clean process" in card
    assert "command: `hpsearch search iris --trials 6 --epochs 20 --seeds 5`" in card
    assert "The sealed test set has not been opened" in card


def test_any_completed_trial_can_be_exported(searched: Path) -> None:
    number = commands.leaderboard(searched, "iris")[-1]["trial"]
    commands.run(searched, "export", "iris", "--trial", str(number))
    scores = json.loads((searched / "exports" / "iris" / "scores.json").read_text())
    assert scores["trial"] == number
    assert scores["verified"] is None


def test_a_trial_that_is_not_there_is_refused_in_one_sentence(searched: Path) -> None:
    output = commands.run(searched, "export", "iris", "--trial", "99", status=2)
    assert len(output.splitlines()) == 1
    assert "has no trial 99" in output
