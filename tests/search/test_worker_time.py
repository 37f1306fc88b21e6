"""The shares of the workers' time add up."""

import re

from pipelines.segment import SegmentResult
from search.worker_time import WorkerTime


def test_what_is_not_measured_is_artifacts_and_the_way_to_and_fro() -> None:
    spent = WorkerTime(starting=5, building=3, training=80, idle=2)
    assert spent.text(100) == (
        "80.0% of the workers' time was training; starting up 5.0%, building networks 3.0%, "
        "artifacts and hand-over 10.0%, idle 2.0%"
    )


def test_the_shares_are_of_the_whole() -> None:
    shares = re.findall(r"([\d.]+)%", WorkerTime(10, 20, 30, 40).text(200))
    assert sum(map(float, shares)) == 100


def test_what_was_cut_off_is_told_where_there_is_something() -> None:
    spent = WorkerTime(training=80, cut_off=15)
    told = "artifacts and hand-over 5.0%, idle 0.0%, cut off by the end 15.0%"
    assert spent.text(100).endswith(told)


def test_a_search_that_trained_nothing_was_all_waiting() -> None:
    assert WorkerTime().text(10).startswith("0.0% of the workers' time was training; ")


def test_all_workers_wait_for_the_first_segment() -> None:
    spent = WorkerTime()
    for elapsed in (12.0, 30.0):
        result = SegmentResult([], {}, True, None, b"", "", 1, 2.0, 5.0, 8.0)
        spent.add(result, elapsed=elapsed, n_workers=3)
    assert spent == WorkerTime(starting=(12 - 8) * 3, building=4, training=10)
