"""The report: one page that holds all it needs, made from a stored study and its runs."""

import re
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from pipelines.tasks import Task
from search.checkpoints import write_whole
from search.report.contents import contents
from search.report.plots_live import live
from search.report.stills import still
from search.settings import Settings
from search.tracking.reading import RunReader
from search.tracking.trial_log import trial_name

ARTIFACT = "report.html"


def make_report(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    console: Console,
    output: Path | None = None,
) -> Path:
    """Writes the page of a study, `reports/<task>.html` by default, and logs it to its run."""
    output = output or Path("reports", f"{task.name}.html")
    reader = RunReader(settings.runs_dir, settings.tracking_uri)
    page = rendered(task, settings, study, reader)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, page.encode())
    logged = reader.attach(reader.study_run(task.name, study.study_name)[0], output, ARTIFACT)
    where = f", and as {ARTIFACT} in the study's run in MLflow" if logged else ""
    console.print(
        f"The report of {study.study_name} is in {output}{where}: open it in a browser.",
        soft_wrap=True,
    )
    return output


def rendered(task: Task, settings: Settings, study: optuna.Study, reader: RunReader) -> str:
    """The page as HTML."""
    # Late: they take a second, and the other commands need none of them.
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    folder = Path(__file__).parent

    def inlined(text: str) -> Any:  # noqa: ANN401 - Markup, which is imported late
        return Markup(text)  # noqa: S704 - our own files, and what escapes itself

    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "live": lambda plot: inlined(live(plot)),
        "still": lambda plot: inlined(still(plot)),
        "trial": trial_name,
        "code": lambda text: inlined(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))),
    }
    return environment.get_template("template.html").render(
        contents(task, settings, study, reader),
        made=datetime.now().astimezone(),
        plotly=inlined(get_plotlyjs()),
        style=inlined((folder / "style.css").read_text()),
        script=inlined((folder / "script.js").read_text()),
    )
