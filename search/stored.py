"""The studies of a storage, all of them: for those who look at more than one."""

import optuna

from search.settings import Settings
from search.storage import missing_file, open_storage


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
