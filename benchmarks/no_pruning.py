"""`hpsearch` with a pruner that ends no trial, for a variant of `benchmarks.quality`.

    .venv/bin/python -m benchmarks.no_pruning search churn --budget 3m

Trials still come by at the rungs, as in a search: only the judgement there is another.
"""

from unittest import mock


def _main() -> None:
    from search import fork_server  # late: the workers' processes import this module as well

    fork_server.start()  # before the imports of the next lines, to begin as soon as `hpsearch`
    from search import cli
    from search.pruner import SparingHalving

    with mock.patch.object(SparingHalving, "prune", return_value=False):
        cli.main()


if __name__ == "__main__":
    _main()
