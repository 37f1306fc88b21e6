"""What each lever is measured on. Nothing is trained."""

import pytest
from rich.console import Console

from benchmarks import layers


@pytest.mark.parametrize("name", layers.LEVERS)
def test_a_network_has_what_its_lever_is_for(name: str) -> None:
    _, changes = layers.LEVERS[name]
    built = layers.config(changes).model_dump()["network"]
    parts = [built, *built["blocks"], *built["layers"]]
    for field, value in changes.items():
        found = [part[field] for part in parts if field in part]
        assert found == [value] * len(found) != []
    unchanged = layers.config(changes) == layers.BASE
    assert unchanged == (name in ("gradients after the pooling", "relu, which has none"))


def test_a_row_has_the_median_and_the_middle_half_of_its_turns() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(layers.show({"silu": [9.0, 1.0, 3.0, 2.0, 4.0]}))
    assert "silu" in capture.get()
    assert "3.00 (2.00 to 4.00)" in capture.get()
