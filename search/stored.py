"""The studies of a storage, all of them: for those who look at more than one."""

from pathlib import Path

import optuna

from search.settings import Settings
from search.storage import open_storage


def stored_studies(settings: Settings, task: str | None = None) -> list[optuna.Study]:
    """Those of a task, or all, in the order of their making; a storage is not made for it.

    Raises:
        InputError: it cannot be opened.
    """
    if missing_file(settings) is not None:
        return []
    storage = open_storage(settings.runs_dir, settings.storage)
    return [
        optuna.load_study(study_name=summary.study_name, storage=storage)
        for summary in optuna.get_all_study_summaries(storage)
        if task in (None, summary.user_attrs.get("task"))
    ]


def missing_file(settings: Settings) -> Path | None:
    """The SQLite file that the storage would be, where it is not there yet."""
    url = settings.storage or f"sqlite:///{settings.runs_dir / 'optuna.db'}"
    kind, _, path = url.partition(":///")
    return Path(path) if kind == "sqlite" and not Path(path).exists() else None
