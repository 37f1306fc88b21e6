"""What in a space looks wrong before anything is trained."""

import re

import pytest

from search.space_check import draws, looks_wrong, used
from spaces.config import Training
from spaces.domains import Choice, Int
from spaces.space import Space
from spaces.spaces import SPACES


def wrong(space: Space, shape: tuple[int, ...] | None = None, n_train: int | None = None) -> str:
    return "\n".join(looks_wrong(space, draws(space, Training(epochs=3), 400), shape, 10, n_train))


@pytest.mark.parametrize("task", SPACES)
def test_nothing_that_cannot_be_built_is_found_in_our_own_spaces(task: str) -> None:
    side = SPACES[task].image_side
    text = wrong(SPACES[task], (side, side, 1) if side else (11,), 10_000)
    assert "cannot be built" not in text
    assert "no effect" not in text
    assert "Fixed" not in text


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["optimizer=adam"], "momentum, nesterov, rho and weight_decay are used by no config"),
        (["optimizer=adam"], "Fixed, so that the search says nothing of it: optimizer=adam."),
        (["family=mlp"], "filters_1"),
        (["dropout=0.2..0.2"], "it: dropout=0.2."),
        (["padding=valid", "kernel_size=5", "blocks=2", "residual=no"], "gets padding 'same'"),
    ],
)
def test_what_looks_wrong(overrides: list[str], said: str) -> None:
    text = wrong(SPACES["digits"].narrow(overrides))
    assert said in text


def test_what_hardly_any_config_uses() -> None:
    rare = SPACES["iris"].replace(layers=Choice(*[1] * 99, 3))
    text = "".join(looks_wrong(rare, draws(rare, Training(epochs=3)), None, 3, None))
    assert re.search(r"Hardly any config uses units_2 \(\d.\d%\) and units_3", text)


def test_a_space_for_larger_images_than_the_data_are() -> None:
    text = wrong(SPACES["fashion"].narrow(["family=cnn"]), (8, 8, 1))
    assert "% of the configs cannot be built, mostly as block" in text


def test_batches_larger_than_the_data() -> None:
    assert "batch_size goes to 512, and there are 300 rows" in wrong(SPACES["mnist"], None, 300)
    chosen = SPACES["iris"].replace(batch_size=Choice(8, 128))
    assert "batch_size goes to 128" in wrong(chosen, None, 90)
    assert "batch_size" not in wrong(SPACES["iris"], None, 90)


def test_images_that_are_too_small_to_be_halved_so_often() -> None:
    deep = SPACES["digits"].replace(blocks=Int(4, 4), filters_3=Int(4, 8), filters_4=Int(4, 8))
    assert "a block does not pool, for a single pixel would be left" in wrong(deep)


def test_what_a_draw_uses() -> None:
    for draw in draws(SPACES["churn"], Training(epochs=3), 60):
        names = used(draw)
        own = draw.config.optimization
        assert ("momentum" in names) == (own.optimizer in ("sgd", "rmsprop"))
        assert ("units_3" in names) == (len(draw.config.network.layers) >= 3)
        assert ("nesterov" in names) == (own.optimizer == "sgd" and bool(own.momentum))
