"""Carving: stratified, complete, always the same."""

import dataclasses

import numpy as np
import pytest

from pipelines.splits import SearchData, Split, carve, carve_sealed, content_digest, divide
from spaces.errors import InputError

NAMES = ("rare", "common")


def labels_of(*counts: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


@pytest.mark.parametrize("share", [1 / 6, 0.2, 0.5])
def test_carving_takes_each_row_once_and_keeps_the_balance(share: float) -> None:
    labels = labels_of(300, 900)
    kept, carved = carve(labels, share, class_names=NAMES, source="a test")
    assert sorted([*kept, *carved]) == list(range(1200))
    assert len(carved) == round(1200 * share)
    assert labels[kept].mean() == pytest.approx(0.75)
    assert labels[carved].mean() == pytest.approx(0.75)


def test_carving_depends_on_the_labels_alone() -> None:
    first = carve(labels_of(30, 90), 0.2, class_names=NAMES, source="a test")
    second = carve(labels_of(30, 90), 0.2, class_names=NAMES, source="another test")
    assert [part.tolist() for part in first] == [part.tolist() for part in second]


@pytest.mark.parametrize("n_common", range(20, 61))
def test_the_smallest_class_that_is_allowed_is_in_both_parts(n_common: int) -> None:
    labels = labels_of(6, n_common)
    for part in carve(labels, 1 / 6, class_names=NAMES, source="a test"):
        assert set(labels[part]) == {0, 1}


@pytest.mark.parametrize("n_common", range(20, 61))
def test_the_smallest_class_that_is_allowed_is_in_both_parts_beside_a_sealed_one(
    n_common: int,
) -> None:
    labels = labels_of(8, n_common)
    parts = carve_sealed(
        labels, test_share=0.2, validation_share=0.2, class_names=NAMES, source="a test"
    )
    for part in parts:
        assert set(labels[part]) == {0, 1}


@pytest.mark.parametrize("counts", [(5, 60), (0, 60), (60,)])
def test_a_class_with_too_few_rows_is_an_error(counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"a\.csv has \d rows of class . \(.*\).* at least 6"):
        carve(labels_of(*counts), 1 / 6, class_names=NAMES, source="a.csv")


def test_a_class_too_small_for_a_sealed_split_is_an_error_with_its_whole_count() -> None:
    with pytest.raises(InputError, match=r"a\.csv has 7 rows of class 0 \(rare\).* at least 8"):
        carve_sealed(
            labels_of(7, 60),
            test_share=0.2,
            validation_share=0.2,
            class_names=NAMES,
            source="a.csv",
        )


def test_a_sealed_split_has_64_and_16_percent_and_no_more() -> None:
    labels = labels_of(200, 800)
    train, validation = carve_sealed(
        labels, test_share=0.2, validation_share=0.2, class_names=NAMES, source="a test"
    )
    assert (len(train), len(validation)) == (640, 160)
    assert not set(train) & set(validation)
    assert labels[train].mean() == labels[validation].mean() == 0.8


def test_folds_take_every_searched_row_once_a_repeat_and_no_sealed_one() -> None:
    labels = labels_of(200, 800)
    searched = carve_sealed(
        labels, test_share=0.2, validation_share=0.2, class_names=NAMES, source="a test"
    )
    rows = sorted(np.concatenate(searched))
    for repeat in range(2):
        folds = [divide(labels, searched, repeat * 5 + fold) for fold in range(5)]
        assert sorted(np.concatenate([validation for _, validation in folds])) == rows
        for train, validation in folds:
            assert sorted([*train, *validation]) == rows
            assert labels[validation].mean() == pytest.approx(0.8)
    first, again = divide(labels, searched, 0)[1], divide(labels, searched, 5)[1]
    assert not np.array_equal(first, again)


def test_search_data_has_no_place_for_test_rows() -> None:
    names = {field.name for field in dataclasses.fields(SearchData)}
    assert names == {"train", "validation", "class_names", "digest", "preprocessor"}


def test_the_input_shape_is_that_of_one_row() -> None:
    split = Split(np.zeros((5, 8, 8, 1), np.uint8), np.zeros(5, np.int64))
    assert SearchData(split, split, NAMES, "digest").input_shape == (8, 8, 1)


def test_a_digest_is_stable_and_fits_into_mlflow() -> None:
    digest = content_digest(np.arange(6, dtype=np.uint8).reshape(2, 3), b"more")
    assert digest == content_digest(bytes(range(6)), b"more")
    assert len(digest) == 36
    assert int(digest, 16)


@pytest.mark.parametrize(
    "contents",
    [(b"ab", b"d"), (b"a", b"bc"), (b"abc",), (b"c", b"ab"), (b"ab", b"c", b"")],
)
def test_a_digest_changes_with_content_order_and_borders(contents: tuple[bytes, ...]) -> None:
    assert content_digest(*contents) != content_digest(b"ab", b"c")


def test_a_digest_does_not_depend_on_the_layout_in_memory() -> None:
    rows = np.arange(12.0).reshape(3, 4)
    assert content_digest(np.asfortranarray(rows)) == content_digest(rows)
