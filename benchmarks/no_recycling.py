"""`hpsearch` with workers that are never replaced, for `benchmarks.memory`.

.venv/bin/python -m benchmarks.no_recycling search digits --trials 200
"""

import sys
from unittest import mock


def _main() -> None:
    from search import cli, engine  # late: the workers' processes import this module as well

    with mock.patch.object(engine, "RECYCLE_JOBS", sys.maxsize):
        cli.main()


if __name__ == "__main__":
    _main()
