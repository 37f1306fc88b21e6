"""MODEL_CARD.md: what an exported model is, what it scored, and how far to believe it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from platform import python_version

import optuna

from pipelines.splits import Division
from pipelines.tasks import Task
from search.script_check import LEVEL, Check
from search.script_data import DATA
from search.study import Record, epoch_text
from search.trial_log import trial_name
from search.verdict import Standing, Verdict
from spaces.config import Config, ConvBlock

_VERSIONS = ("keras", "tensorflow", "numpy", "scikit-learn", "optuna", "mlflow", "hpsearch")


@dataclass(frozen=True)
class Exported:
    """The trial that is exported, and which training of its config the model comes from.

    Attributes:
        standing: Its retrainings on fresh seeds; None where it was no finalist.
        run_id: The MLflow run of that training.
        seed: Of that training.
        division: The rows of that training.
        tags: Of that run and of its study's: command, precision, git_commit.
    """

    number: int
    record: Record
    standing: Standing | None
    run_id: str
    seed: int
    division: Division
    tags: Mapping[str, str]


def model_card(
    task: Task,
    study: optuna.Study,
    exported: Exported,
    *,
    verdict: Verdict | None,
    check: Check | None,
    tested: str,
) -> str:
    """The card as Markdown.

    Args:
        tested: What the ledger of the sealed test set says, in a sentence.
    """
    config = exported.record.parsed_config()
    sections = {
        "What it is": _what(task, config, exported.record),
        "Scores": _scores(task, exported, verdict, tested),
        "Data": _data(task, study),
        "Protocol": _protocol(task, exported, verdict),
        "How it was found": _origin(study, exported),
        "Files": _files(task, check),
        "Use": [f"```python\n{DATA[task.name].use.strip()}\n```"],
        "Limits": _limits(task, exported),
    }
    body = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items())
    return f"# {task.title}: {config.title()}\n\n{_state(check)}\n\n{body}\n"


def _state(check: Check | None) -> str:
    if check is None:
        return (
            "Not verified yet: nobody has checked that `train.py` scores as the search did; "
            "`hpsearch export --verify` does it."
        )
    how = f"(seed {check.seed}, {check.seconds:.0f} s)"
    if check.verified:
        return f"Verified in a clean process {how}: {check.note}."
    if check.verified is None:
        return f"Not verified {how}: {check.note}."
    return (
        f"> **UNVERIFIED. Do not rely on this export.** {check.note[0].upper()}{check.note[1:]} "
        f"{how}."
    )


def _what(task: Task, config: Config, record: Record) -> list[str]:
    takes = "raw pixels, 0 to 255" if task.space.image_side else "the columns of a table"
    classes = ", ".join(f"{i} {name}" for i, name in enumerate(task.class_names))
    return [
        f"A neural network of {record.n_parameters:,} weights that takes {takes} and answers with"
        f" probabilities. Classes: {classes}.",
        "",
        *(f"- {line}" for line in described(config)),
    ]


def described(config: Config) -> Iterator[str]:
    """The config in a few words a part."""
    network, optimization = config.network, config.optimization
    for number, block in enumerate(network.blocks, 1):
        yield f"Block {number}: {_block(block)}"
    if network.blocks:
        yield f"Head: {network.head}"
    if network.embedding:
        yield f"Each column first through {network.embedding} units of its own"
    for number, layer in enumerate(network.layers, 1):
        extras = _extras(layer.batch_norm, layer.dropout)
        yield ", ".join([f"Dense layer {number}: {layer.units} units", *extras])
    yield f"Activation {network.activation}, initial weights {network.initializer}"
    own = {
        name: value
        for name, value in optimization
        if value is not None and name not in ("optimizer", "learning_rate", "schedule")
    }
    yield (
        f"{optimization.optimizer} at a {optimization.schedule} learning rate of "
        f"{optimization.learning_rate:.3g} ({_listed(own)})"
    )
    for title, part in (
        ("Regularization", config.regularization),
        ("Augmentation", config.augmentation),
        ("Training", config.training),
    ):
        used = {name: value for name, value in part if value and value != "none"}
        yield f"{title}: {_listed(used)}"


def _block(block: ConvBlock) -> str:
    times = f"{block.convolutions} convolutions" if block.convolutions > 1 else "convolution"
    size = f"{block.kernel_size} x {block.kernel_size}"
    words = [f"{times} {size} with {block.filters} filters, padding {block.padding}"]
    words += ["residual"] if block.residual else []
    words += [] if block.pooling == "none" else [f"{block.pooling} pooling"]
    return ", ".join(words + _extras(block.batch_norm, block.dropout))


def _extras(batch_norm: str, dropout: float) -> list[str]:
    norm = [] if batch_norm == "none" else [f"batch normalization {batch_norm} the activation"]
    return norm + ([f"dropout {dropout:g}"] if dropout else [])


def _listed(values: Mapping[str, object]) -> str:
    shown = [
        f"{name} {value:.3g}" if type(value) is float else name if value is True else f"{name} {value}"
        for name, value in values.items()
        if value is not False
    ]
    return ", ".join(shown) or "none"


def _scores(
    task: Task, exported: Exported, verdict: Verdict | None, tested: str
) -> list[str]:
    metric, record = task.goal.metric, exported.record
    lines = [f"| what | {metric} |", "|---|---|"]
    if exported.standing:
        lines.append(_standing_row(exported.standing, "folds" if task.folds else "seeds"))
    lines.append(
        f"| the search's own trial, at epoch {epoch_text(record.best['epoch'])}"
        f" | {record.best[metric]:.4f} |"
    )
    lines += ["", f"Test set: {tested}", ""]
    why = "it is the best of many, so it is optimistic"
    if verdict:
        why += f": for the best trial of this study by {verdict.optimism:.4f}"
    lines.append(f"The search chose by the trial's own score: {why}.")
    if verdict and verdict.runner_up and exported.number == verdict.winner.number:
        lines.append(_compared(verdict))
    return lines


def _standing_row(standing: Standing, kind: str) -> str:
    count = sum(not retraining.cause for retraining in standing.retrainings)
    if math.isnan(standing.std):
        return f"| one retraining on other {kind} | {standing.mean:.4f} |"
    low, high = standing.interval
    return (
        f"| mean of {count} retrainings on other {kind} | {standing.mean:.4f}, standard deviation"
        f" {standing.std:.4f}, 95 % interval of the mean {low:.4f} to {high:.4f} |"
    )


def _compared(verdict: Verdict) -> str:
    runner_up = trial_name(verdict.runner_up.number) if verdict.runner_up else ""
    if verdict.difference is None:
        return f"The runner-up is {runner_up}."
    between = ""
    if verdict.difference_interval:
        low, high = verdict.difference_interval
        between = f" (95 % interval {low:.4f} to {high:.4f})"
    tie = ": they are tied, and the cheaper one was taken" if verdict.tied else ""
    return f"Difference to the runner-up {runner_up}: {verdict.difference:.4f}{between}{tie}."


def _data(task: Task, study: optuna.Study) -> list[str]:
    data = DATA[task.name]
    return [
        f"{data.source[0].upper()}{data.source[1:]}.",
        f"Of these, {data.splits}. Digest of the training and validation rows:"
        f" `{study.user_attrs['data_digest']}`.",
    ]


def _protocol(task: Task, exported: Exported, verdict: Verdict | None) -> list[str]:
    lines = [
        f"Every trial was trained on the training rows and scored by {task.goal.metric} after each"
        " epoch on the validation rows; the best epoch counts, and its weights are kept.",
    ]
    if verdict:
        other = (
            "folds of the training and validation rows" if task.folds else "fresh seeds, same rows"
        )
        lines.append(
            f"The {len(verdict.standings)} best configs were then trained again ({other}), and the"
            " best mean won."
        )
    which = "the search's own training of the config"
    if exported.run_id and exported.standing and exported.seed != exported.record.seed:
        on = "the search's rows"
        if exported.division != "search":
            on = f"fold {exported.division} of the rows"
        which = f"the config's first retraining, on {on}"
    lines.append(f"`model.keras` is {which} (seed {exported.seed}).")
    return lines


def _origin(study: optuna.Study, exported: Exported) -> list[str]:
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "fail"))
    tags = exported.tags
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    lines = [
        f"- trial {trial_name(exported.number)} of the study `{study.study_name}`, which has"
        f" {len(states)} trials ({counts})",
    ]
    if exported.record.preset:
        lines.append(f"- its config is the tutorials' `{exported.record.preset}`")
    if "command" in tags:
        lines.append(f"- command: `{tags['command']}`")
    lines.append(f"- run `{exported.run_id}` in MLflow; precision {tags.get('precision', '?')}")
    if "git_commit" in tags:
        lines.append(f"- git commit {tags['git_commit']}")
    lines.append(f"- exported with Python {python_version()}, {versions}")
    return lines


def _files(task: Task, check: Check | None) -> list[str]:
    lines = [
        "- `model.keras`: the trained network",
        "- `train.py`: trains the same network from the same data, without hpsearch",
        "- `requirements.txt`: what `train.py` needs, in the versions used here",
        "- `config.yaml`: all hyperparameters; `hpsearch train --config config.yaml` trains them",
        "- `configs.csv`: the ten best configs of the study; `scores.json`: this card's numbers",
    ]
    if DATA[task.name].prepared:
        lines.insert(1, "- `preprocessor.joblib`: turns raw rows into the network's columns")
    if check and check.interval:
        low, high = check.interval
        lines += [
            "",
            f"`train.py` with another seed is expected to score {low:.4f} to {high:.4f}"
            f" ({LEVEL:.0%} of all trainings).",
        ]
    return lines


def _limits(task: Task, exported: Exported) -> list[str]:
    lines = [
        "- It knows nothing but the data above: rows or images of another origin may be answered"
        " wrongly and with confidence.",
        "- Its probabilities were not calibrated afterwards.",
        "- The validation rows chose the epoch and the config; only the test set is unseen.",
        "- `train.py` computes in float32 with Keras' own layers: its scores agree with the"
        " search's on average, not to the bit.",
    ]
    if not exported.standing:
        lines.append("- The config was not trained again on fresh seeds: its score is one draw.")
    return lines
