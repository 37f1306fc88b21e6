"""`hpsearch doctor`: looks at machine, data, storage and MLflow, and mends what it safely can."""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import optuna
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.sources import SOURCES, find, read_content
from pipelines.tasks import TASKS
from search.doctor.marks import Finding, Mark, note, ok, problem
from search.doctor.studies_check import study_findings
from search.machine import Machine
from search.settings import Settings
from search.storage import missing_file
from search.stored import stored_studies
from search.texts import n_of
from search.tracking.store import locate
from search.tracking.tracker import Tracker
from spaces.errors import InputError

PROJECT = "hpsearch"
LEAST_GIB = 2.0
"""Free disk below which a search may not be able to write its end."""
STYLES: dict[Mark, str] = {
    "ok": "green",
    "note": "cyan",
    "mended": "yellow",
    "problem": "bold red",
}


def examine(settings: Settings, console: Console, *, mend: bool) -> bool:
    """Prints a line a check; whether all is well, or was mended."""
    well = True
    for finding in findings(settings, mend=mend):
        well &= finding.mark != "problem"
        console.print(_line(finding))
    return well


def findings(settings: Settings, *, mend: bool) -> Iterator[Finding]:
    """In the order in which one thing stands on the other."""
    yield _python()
    yield _packages()
    yield _machine()
    yield _disk(settings.runs_dir)
    for task in TASKS:
        yield _data(task, settings.data_dir)
    try:
        studies = stored_studies(settings)
    except InputError as error:
        yield problem("Optuna", str(error))
        return
    yield _storage(settings, studies)
    tracker = None
    try:
        finding, tracker = _mlflow(settings, studies, mend=mend)
        yield finding
    except InputError as error:
        yield problem("MLflow", str(error))
    for study in studies:
        yield from study_findings(study, settings, tracker, mend=mend)


def _line(finding: Finding) -> Table:
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_column(width=7, no_wrap=True)
    line.add_column()
    text = Text(finding.about, style="bold").append(f"  {finding.text}", style="not bold")
    line.add_row(Text(finding.mark, style=STYLES[finding.mark]), text)
    return line


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    needed = _requires_python()
    if needed and not needed_by(needed, version):
        return problem("Python", f"{version}, where {needed} is needed: make the environment anew")
    return ok("Python", version)


def _requires_python() -> str:
    try:
        return metadata.metadata(PROJECT)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return ""


def needed_by(specifier: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet  # late: only the doctor wants it

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _packages() -> Finding:
    """What is installed against what the project asks for."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in metadata.requires(PROJECT) or []]
    except metadata.PackageNotFoundError:
        return note(
            "packages", f"{PROJECT} runs from its source and is not installed: not checked"
        )
    needed = [each for each in needed if each.marker is None or each.marker.evaluate()]
    wrong = [text for each in needed if (text := _mismatch(each.name, str(each.specifier)))]
    if wrong:
        return problem("packages", f"{'; '.join(wrong)}: make the environment anew")
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    return ok("packages", f"{n_of(len(needed), 'requirement')} met: {shown}")


SHOWN = ("tensorflow", "keras", "optuna", "mlflow")


def _mismatch(name: str, specifier: str) -> str:
    """What is wrong with an installed package; empty if nothing is."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if needed_by(specifier, version) else f"{name} {version}, not {specifier}"


def _machine() -> Finding:
    machine = Machine.here()
    workers, why = machine.workers(None, sys.maxsize)
    text = f"{machine.text}; {n_of(workers, 'worker')}"
    return ok("machine", f"{text}; {why}" if why else text)


def _disk(runs_dir: Path) -> Finding:
    folder = runs_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    text = f"{free:.1f} GiB free for {runs_dir}"
    return ok("disk", text) if free >= LEAST_GIB else problem("disk", f"{text}: make room")


def _data(task: str, data_dir: Path | None) -> Finding:
    about = f"data of {task}"
    if task not in SOURCES:
        return ok(about, "comes with the project's packages")
    try:
        paths = find(task, data_dir)
        if paths is None:
            return note(about, "not here: the first search downloads it")
        published = SOURCES[task].files.values()
        seen = [hashlib.sha256(read_content(path)).hexdigest() for path in paths]
        if list(published) == seen:
            return ok(about, f"{paths[0].parent}, as published")
        TASKS[task].load(data_dir)  # own data are welcome, if a search can read them
    except InputError as error:
        return problem(about, str(error))
    return note(about, f"{paths[0].parent}, other than published: your own?")


def _storage(settings: Settings, studies: list[optuna.Study]) -> Finding:
    missing = missing_file(settings)
    if missing is not None:
        return ok("Optuna", f"nothing stored yet at {missing}")
    return ok("Optuna", f"the storage opens, {_n_studies(studies)}")


def _mlflow(
    settings: Settings, studies: list[optuna.Study], *, mend: bool
) -> tuple[Finding, Tracker | None]:
    """The tracker too, where MLflow can be read; a mere look makes no database.

    Raises:
        InputError: it cannot be used.
    """
    file = locate(settings.runs_dir, settings.tracking_uri).database_file
    if file is not None and not file.is_file():
        if not studies:
            return ok("MLflow", f"nothing recorded yet at {file}"), None
        if not mend:
            text = f"no record at {file}, and {_n_studies(studies)}: doctor can log them again"
            return problem("MLflow", text), None
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    return ok("MLflow", f"opens, version {metadata.version('mlflow')}"), tracker


def _n_studies(studies: list[optuna.Study]) -> str:
    return "1 study" if len(studies) == 1 else f"{len(studies)} studies"
