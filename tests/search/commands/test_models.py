"""What the commands that make and use models say beforehand."""

import pytest

from search.commands.models import _warn_of_waiting
from tests.fakes import new_study


@pytest.mark.parametrize(("number", "said"), [(None, ""), (103, "t103, the search's best,")])
def test_a_best_that_could_not_win_yet_is_told(
    number: int | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("search.finalists.verdict.best_in_wait", lambda _: number)
    _warn_of_waiting(new_study())
    out = capsys.readouterr().out
    assert said in out
    assert bool(out) == bool(said)
