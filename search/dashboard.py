"""Optuna's dashboard on the studies, with a note on each trial that leads to its run in MLflow."""

from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from pipelines.tasks import TASKS
from search import study as studies
from search.settings import Settings
from search.storage import missing_file
from search.stored import stored_studies
from search.study import NoStudyError, Record
from search.tracking.trial_log import in_words, trial_name
from spaces.errors import InputError

HOST = "127.0.0.1"
OBJECTIVES = "dashboard:objective_names"
"""Read by the dashboard alone; what Optuna has for it is experimental, and warns."""


def chosen_studies(settings: Settings, task: str | None) -> list[optuna.Study]:
    """The study of a task that was worked on last; without a task all of our tasks.

    In a storage that a team shares, studies of others are not ours to write notes to.

    Raises:
        InputError: there is none, or the storage cannot be used.
    """
    if task is not None:
        return [studies.find_study(settings, task, None)]
    found = [each for each in stored_studies(settings) if each.user_attrs.get("task") in TASKS]
    if not found:
        missing = missing_file(settings)
        why = f"There is no {missing} yet" if missing else "No study of ours is stored yet"
        raise NoStudyError(f"{why}: run `hpsearch search` first.")
    return found


def write_notes(study: optuna.Study, mlflow: str) -> int:
    """Notes for the study and its ended trials, where there are none yet; returns how many.

    The objective gets its name as well.

    Args:
        mlflow: Address of the MLflow UI.
    """
    # Late: it takes a second. Its `save_note` would read all notes again for each one.
    from optuna_dashboard._note import note_ver_key, split_body

    storage, study_id = study._storage, study._study_id
    if "metric" in study.user_attrs:
        storage.set_study_system_attr(study_id, OBJECTIVES, [study.user_attrs["metric"]])
    known = storage.get_study_system_attrs(study_id)
    notes: dict[int | None, str] = {None: _study_note(study)}
    for trial in study.get_trials(deepcopy=False):
        record = studies.read(trial)
        if record is not None and record.ended:
            run_id = studies.run_of(study, trial.number, record)
            notes[trial._trial_id] = _trial_note(study, trial.number, record, run_id, mlflow)
    missing = {key: text for key, text in notes.items() if note_ver_key(key) not in known}
    for key, text in missing.items():
        # The version last: with it the note is there.
        for name, value in {**split_body(text, key), note_ver_key(key): 1}.items():
            storage.set_study_system_attr(study_id, name, value)
    return len(missing)


def open_server(study: optuna.Study, port: int) -> WSGIServer:
    """A server of the study's whole storage, on loopback.

    Raises:
        InputError: the port cannot be had.
    """
    from optuna_dashboard import wsgi  # late, as above

    try:
        return make_server(HOST, port, wsgi(study._storage), _Server, _Quiet)
    except OSError as error:
        raise InputError(
            f"Port {port} on {HOST} cannot be had ({error.strerror}): give another by --port."
        ) from error


def address(studies_shown: list[optuna.Study], port: int) -> str:
    """Where a person begins to look: at the study, or at the list of them."""
    start = f"http://{HOST}:{port}/dashboard"
    return f"{start}/studies/{studies_shown[0]._study_id}" if len(studies_shown) == 1 else start


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing of each request."""


def _study_note(study: optuna.Study) -> str:
    task = study.user_attrs["task"]
    metric, name = study.user_attrs.get("metric", "the goal"), study.study_name
    return f"""Hyperparameter search for **{task}**; the objective is `{metric}`.

- A pruned trial was not in the better half at a rung; one that failed for its config (diverged, out of memory, invalid shape) counts as pruned too, and as infeasible: the note of each trial says which.
- The steps of the intermediate values are first rungs, not epochs; MLflow has the epochs.
- `hpsearch report {task} --study {name}` says what each hyperparameter did; `hpsearch leaderboard {task} --study {name}` names the best.
- Renaming or deleting the study here is for good: `hpsearch search` would no longer find it.
"""  # noqa: E501 - Markdown


def _trial_note(study: optuna.Study, number: int, record: Record, run_id: str, mlflow: str) -> str:
    show = f"hpsearch show {study.user_attrs['task']} {number} --study {study.study_name}"
    seen = f"[Its run in MLflow]({mlflow}/#/runs/{run_id}), while `hpsearch ui` runs; or"
    start = seen if run_id else "It has no run in MLflow; but"
    return f"**{trial_name(number)}** {in_words(record)}\n\n{start} `{show}`."
