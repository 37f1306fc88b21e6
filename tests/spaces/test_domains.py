"""Domains: one catalogue, and the same questions to each of its members."""

import math
from collections.abc import Callable

import optuna
import pytest

from spaces.domains import Choice, Domain, Float, Int, Value, narrow
from spaces.errors import InputError

CATALOGUE: dict[str, Domain] = {
    "int": Int(1, 4),
    "int of one": Int(3, 3),
    "log int": Int(8, 128, log=True),
    "float": Float(0.8, 0.99),
    "log float": Float(1e-4, 1e-1, log=True),
    "stepped float": Float(0.0, 0.6, step=0.05),
    "stepped float above zero": Float(0.8, 0.98, step=0.01),
    "log float or zero": Float(1e-7, 1e-2, log=True, zero=True),
    "narrow log float or zero": Float(1e-4, 2e-4, log=True, zero=True),
    "words": Choice("max", "average"),
    "yes or no": Choice(False, True),
    "numbers": Choice(0.0, 0.99, 0.999),
    "choice of one": Choice("adam"),
}
OUTSIDE: dict[str, list[Value]] = {
    "int": [0, 5, 2.0, True, "2"],
    "int of one": [2, 4],
    "log int": [7, 129],
    "float": [0.79, 0.991, "0.9", True],
    "log float": [0.0, 1e-5, 0.2, -1e-3],
    "stepped float": [0.01, 0.65, -0.05],
    "stepped float above zero": [0.0, 0.805, 1.0],
    "log float or zero": [1e-8, 0.1, False],
    "narrow log float or zero": [1e-5, 3e-4],
    "words": ["none", "Max", 0],
    "yes or no": [0, 1, "yes"],
    "numbers": [0.9, False, "0.99"],
    "choice of one": ["sgd"],
}

each_domain = pytest.mark.parametrize("name", CATALOGUE)


def draw(domain: Domain, count: int) -> list[tuple[Value, dict[str, Value]]]:
    """Values with what Optuna stored for them."""
    sampler = optuna.samplers.RandomSampler(seed=7)
    study = optuna.create_study(sampler=sampler)
    drawn = []
    for _ in range(count):
        trial = study.ask()
        value = domain.suggest(trial, "x")
        drawn.append((value, dict(trial.params)))
    return drawn


@each_domain
def test_what_is_drawn_is_contained(name: str) -> None:
    domain = CATALOGUE[name]
    assert all(domain.contains(value) for value, _ in draw(domain, 50))


@each_domain
def test_a_draw_is_repeated_from_what_optuna_stored(name: str) -> None:
    domain = CATALOGUE[name]
    for value, params in draw(domain, 20):
        assert domain.suggest(optuna.trial.FixedTrial(params), "x") == value


@each_domain
def test_a_value_is_repeated_from_its_stored_form(name: str) -> None:
    domain = CATALOGUE[name]
    for value, _ in draw(domain, 20):
        trial = optuna.trial.FixedTrial({"x": domain.stored(value)})
        assert domain.suggest(trial, "x") == value


@each_domain
def test_many_draws_reach_both_ends(name: str) -> None:
    domain = CATALOGUE[name]
    drawn = [value for value, _ in draw(domain, 400)]
    if isinstance(domain, Choice):
        assert set(drawn) == set(domain.values)
        return
    numbers = [float(value) for value in drawn if value != 0 or not getattr(domain, "zero", False)]
    scale = math.log if domain.log else float
    tenth = (scale(domain.high) - scale(domain.low)) / 10
    assert scale(min(numbers)) <= scale(domain.low) + tenth
    assert scale(max(numbers)) >= scale(domain.high) - tenth


@each_domain
def test_the_whole_domain_named_as_text_is_the_domain(name: str) -> None:
    domain = CATALOGUE[name]
    if isinstance(domain, Choice):
        named = narrow(domain, ",".join(str(value) for value in domain.values))
    else:
        low = 0 if isinstance(domain, Float) and domain.zero else domain.low
        named = narrow(domain, f"{low}..{domain.high}")
    assert named == domain


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OUTSIDE.items() for value in values]
)
def test_what_lies_outside_is_not_contained(name: str, value: Value) -> None:
    assert not CATALOGUE[name].contains(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int", "1..4"),
        ("log int", "8..128 (log)"),
        ("log float", "0.0001..0.1 (log)"),
        ("stepped float", "0..0.6 step 0.05"),
        ("log float or zero", "0 or 1e-07..0.01 (log)"),
        ("words", "max, average"),
        ("yes or no", "no, yes"),
        ("numbers", "0, 0.99, 0.999"),
    ],
)
def test_a_domain_prints_itself(name: str, text: str) -> None:
    assert CATALOGUE[name].text() == text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("int", "2..3", Int(2, 3)),
        ("int", "2", Choice(2)),
        ("int", "1, 3", Choice(1, 3)),
        ("log int", "16..64", Int(16, 64, log=True)),
        ("log float", "1e-3..1e-2", Float(1e-3, 1e-2, log=True)),
        ("log float", "1e-3,1e-2", Choice(1e-3, 1e-2)),
        ("stepped float", "0.1..0.3", Float(0.1, 0.3, step=0.05)),
        ("log float or zero", "0..1e-3", Float(1e-7, 1e-3, log=True, zero=True)),
        ("log float or zero", "1e-5..1e-3", Float(1e-5, 1e-3, log=True)),
        ("log float or zero", "0", Choice(0.0)),
        ("log float or zero", "0,1e-4", Choice(0.0, 1e-4)),
        ("words", "average", Choice("average")),
        ("words", "average,average", Choice("average")),
        ("yes or no", "yes", Choice(True)),
        ("yes or no", "False", Choice(False)),
        ("numbers", "0,.99", Choice(0.0, 0.99)),
    ],
)
def test_narrowing(name: str, text: str, expected: Domain) -> None:
    assert narrow(CATALOGUE[name], text) == expected


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("int", "3..2", "the range is upside down: 3..2"),
        ("int", "0..2", "0 lies outside"),
        ("int", "2..9", "9 lies outside"),
        ("int", "7", "7 lies outside"),
        ("int", "2.5", "a whole number is needed, got '2.5'"),
        ("int", "two", "a whole number is needed, got 'two'"),
        ("int", "1,,2", "a whole number is needed, got ''"),
        ("int", "..2", "a whole number is needed, got ''"),
        ("log float", "1e-2..1e-3", "the range is upside down: 0.01..0.001"),
        ("log float", "0..1e-3", "a log range must start above 0, got 0..0.001"),
        ("log float", "fast", "a number is needed, got 'fast'"),
        ("log float", "nan", "a number is needed, got 'nan'"),
        ("log float", "1e-3..inf", "a number is needed, got 'inf'"),
        (
            "log float or zero",
            "0..1e-8",
            "0..1e-8 holds nothing but 0: write 0 alone, or let it end at 1e-07 or above",
        ),
        ("stepped float", "0.33", "0.33 lies outside"),
        ("stepped float", "0.02..0.3", "0.02 lies outside"),
        ("words", "min", "'min' is none of its values"),
        ("words", "max..average", "it has choices and no range, got 'max..average'"),
        ("yes or no", "1", "'1' is none of its values"),
        ("numbers", "0.5", "'0.5' is none of its values"),
        ("numbers", "half", "'half' is none of its values"),
    ],
)
def test_narrowing_to_what_is_not_there(name: str, text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        narrow(CATALOGUE[name], text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["2..3", "2"])
def test_narrowing_keeps_the_sentence(text: str) -> None:
    assert narrow(Int(1, 4, about="How deep."), text).about == "How deep."


@pytest.mark.parametrize(
    ("name", "middle"),
    [
        ("int", 2),
        ("int of one", 3),
        ("log int", 32),
        ("float", 0.895),
        ("log float", 10**-2.5),
        ("stepped float", 0.3),
        ("stepped float above zero", 0.89),
        ("log float or zero", 10**-4.5),
        ("words", "max"),
        ("yes or no", False),
        ("numbers", 0.99),
        ("choice of one", "adam"),
    ],
)
def test_the_middle_of_a_domain(name: str, middle: Value) -> None:
    found = CATALOGUE[name].middle()
    assert CATALOGUE[name].contains(found)
    assert type(found) is type(middle)
    assert found == (pytest.approx(middle) if isinstance(middle, float) else middle)


def test_the_middle_of_numbers_is_not_that_of_their_order_in_the_list() -> None:
    assert Choice(512, 32, 128).middle() == 128


def test_zero_is_drawn_a_third_of_the_time() -> None:
    drawn = [value for value, _ in draw(Float(1e-7, 1e-2, log=True, zero=True), 1000)]
    assert 0.29 < drawn.count(0.0) / len(drawn) < 0.38


@pytest.mark.parametrize("high", [1e-7, 1.5e-7, 1e-2])
def test_zero_is_stored_below_the_range(high: float) -> None:
    domain = Float(1e-7, high, log=True, zero=True)
    stored = domain.stored(0.0)
    assert 0 < float(stored) < domain.low
    assert domain.suggest(optuna.trial.FixedTrial({"x": stored}), "x") == 0.0


def test_stepped_values_read_as_they_are_written() -> None:
    drawn = {value for value, _ in draw(Float(0.0, 0.6, step=0.05), 300)}
    assert drawn == {i * 5 / 100 for i in range(13)}


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: Int(4, 1), "upside down"),
        (lambda: Int(0, 4, log=True), "above 0"),
        (lambda: Float(1.0, 0.5), "upside down"),
        (lambda: Float(math.nan, 1.0), "upside down"),
        (lambda: Float(0.0, 1.0, log=True), "above 0"),
        (lambda: Float(0.1, 1.0, zero=True), "let low be 0"),
        (lambda: Float(0.1, 1.0, step=0.1, log=True), "step"),
        (lambda: Float(0.1, 1.0, step=-0.1), "step"),
        (Choice, "at least one"),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(
    build: Callable[[], Domain], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        build()
