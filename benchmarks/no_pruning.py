"""`hpsearch` with a pruner that ends no trial, for a variant of `benchmarks.quality`.

    .venv/bin/python -m benchmarks.no_pruning search churn --budget 3m

Trials still come by at the rungs, as in a search: only the judgement there is another.
"""

from unittest import mock


def _main() -> None:
    from search import cli  # late: the workers' processes import this module as well
    from search.pruner import SparingHalving

    with mock.patch.object(SparingHalving, "prune", return_value=False):
        cli.main()


if __name__ == "__main__":
    _main()
