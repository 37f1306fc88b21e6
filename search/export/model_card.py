"""MODEL_CARD.md: what an exported model is, what it scored, and how far to believe it."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import optuna

from pipelines.tasks import Task
from search import study as studies
from search.export.check import Check
from search.export.exported import Exported
from search.export.script_data import DATA
from search.finalists.comparison import LEVEL, Interval
from search.finalists.standings import why_taken
from search.finalists.verdict import Standing, Verdict
from search.study import Record, epoch_text
from search.tracking.trial_log import trial_name
from spaces.config import Config, ConvBlock
from spaces.presets import PRESETS


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
        tested: What the ledger of the sealed test set says, in sentences.
    """
    config = exported.config
    sections = {
        "What it is": _what(task, config, exported.record),
        "Scores": _scores(task, exported, verdict, tested),
        "Data": _data(task, study),
        "Protocol": _protocol(task, exported, verdict),
        "How it was found": _origin(study, exported),
        "Files": _files(task, check),
        "Use": [f"```python\n{DATA[task.name].use.strip()}\n```"],
        "Limits": _limits(exported),
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
    takes = "raw pixels from 0 to 255" if task.has_images else "the columns of a table"
    return [
        f"A network of {record.n_parameters:,} weights that answers {takes} with probabilities.",
        f"Classes, in their order: {', '.join(task.class_names)}.",
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
        ("Further regularization", config.regularization),
        ("Augmentation", config.augmentation),
        ("Training", config.training.model_copy(update={"final_decay": config.final_decay})),
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
    return (
        ", ".join(_said(n, value) for n, value in values.items() if value is not False) or "none"
    )


def _said(name: str, value: object) -> str:
    if value is True:
        return name
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"


def _scores(task: Task, exported: Exported, verdict: Verdict | None, tested: str) -> list[str]:
    metric, record = task.goal.metric, exported.record
    lines = [f"| what | {metric} |", "|---|---|"]
    if exported.standing:
        lines.append(_standing_row(exported.standing, "folds" if task.folds else "seeds"))
    lines.append(
        f"| the search's own trial, at epoch {epoch_text(record.best['epoch'])}"
        f" | {record.best[metric]:.4f} |"
    )
    lines += ["", tested, ""]
    lines.append("The trial's own score is one of many that the search chose from: optimistic.")
    if verdict and verdict.promised.n_scored:
        lines.append(
            f"That of the study's best trial lies {verdict.optimism:+z.4f} from its mean when"
            " trained again."
        )
    if verdict and exported.number == verdict.winner.number:
        lines.append(_compared(verdict))
    return lines


def _standing_row(standing: Standing, kind: str) -> str:
    count = standing.n_scored
    if not count:
        return f"| trained again on other {kind} | failed: {', '.join(standing.causes)} |"
    what = "one retraining" if count == 1 else f"mean of {count} retrainings"
    spread = "" if math.isnan(standing.std) else f", standard deviation {standing.std:.4f}"
    return f"| {what} on other {kind} | {standing.mean:.4f}{spread}{_within(standing.interval)} |"


def _within(interval: Interval) -> str:
    low, high = interval
    return f", 95 % interval {low:.4f} to {high:.4f}" if math.isfinite(high) else ""


def _compared(verdict: Verdict) -> str:
    if not verdict.runner_up or verdict.difference is None or not verdict.difference_interval:
        return ""
    runner_up, between = trial_name(verdict.runner_up.number), verdict.difference_interval
    why = why_taken(verdict.winner, verdict.runner_up)
    tie = f"; they are tied, and this one was taken: {why}" if verdict.tied else ""
    return (
        f"Difference to the runner-up {runner_up}: {verdict.difference:+z.4f}{_within(between)}"
        f"{tie}."
    )


def _data(task: Task, study: optuna.Study) -> list[str]:
    data = DATA[task.name]
    return [
        f"Source: {data.source}.",
        f"Of these, {data.splits}.",
        f"Digest of the training and validation rows: `{study.user_attrs['data_digest']}`.",
    ]


def _protocol(task: Task, exported: Exported, verdict: Verdict | None) -> list[str]:
    lines = [
        "Every trial was trained on the training rows and scored on the validation rows.",
        f"The epoch with the best {task.goal.metric} counted, and its weights were kept.",
    ]
    if verdict:
        other = (
            "folds of the training and validation rows" if task.folds else "fresh seeds, same rows"
        )
        lines.append(
            f"{len(verdict.standings)} finalists were then trained again ({other}), each through"
            " its whole schedule, whose last weights count; the best mean won."
        )
    which = "the search's own training of the config"
    if exported.retrainings_lost:
        which += ", as MLflow has none of its retrainings, whose mean stands above"
    if exported.retrained:
        on = "the search's rows"
        if exported.division != "search":
            on = f"fold {exported.division} of the rows"
        which = f"the config's first retraining, on {on}"
    lines.append(f"`model.keras` is {which} (seed {exported.seed}).")
    return lines


def _origin(study: optuna.Study, exported: Exported) -> list[str]:
    records = [studies.read(trial) for trial in study.get_trials(deepcopy=False)]
    states = Counter(record.state for record in records if record)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    origin = exported.origin
    lines = [
        f"- trial {trial_name(exported.number)} of the study `{study.study_name}`",
        f"- the study has {states.total()} trials: {counts}",
    ]
    if exported.record.preset in PRESETS:
        lines.append(f"- its config is the tutorials' `{exported.record.preset}`")
    if "command" in origin:
        lines.append(f"- command: `{origin['command']}`")
    lines.append(f"- run `{exported.run_id}` in MLflow")
    if "precision" in origin:
        lines.append(f"- trained in {origin['precision']}")
    if "git_commit" in origin:
        lines.append(f"- git commit {origin['git_commit']}")
    lines.append(f"- exported with {origin['exported_with']}")
    return lines


def _files(task: Task, check: Check | None) -> list[str]:
    lines = [
        "- `model.keras`: the trained network",
        "- `train.py`: trains the same network from the same data, without hpsearch",
        "- `requirements.txt`: what `train.py` needs, in the versions used here",
        f"- `config.yaml`, `config.json`: for `hpsearch train {task.name} --config config.yaml`",
        "- `configs.csv`: the ten best configs of the study; `scores.json`: this card's numbers",
    ]
    if DATA[task.name].prepared:
        lines.insert(1, "- `preprocessor.joblib`: turns raw rows into the network's columns")
    if check and check.interval:
        low, high = check.interval
        expected = f"{low:.4f} to {high:.4f} in {LEVEL:.0%} of all trainings"
        lines += ["", f"`train.py` with another seed is expected to score {expected}."]
    return lines


def _limits(exported: Exported) -> list[str]:
    chosen = "the config" if exported.retrained else "the epoch and the config"
    lines = [
        "- It knows the data above only, and may be wrong about others with confidence.",
        "- Its probabilities were not calibrated afterwards.",
        f"- The validation rows chose {chosen}; only the test set is unseen.",
        "- `train.py`, in float32, scores as the search does on average, not to the bit.",
    ]
    if not exported.standing:
        lines.append("- The config was not trained again on fresh seeds: its score is one draw.")
    return lines
