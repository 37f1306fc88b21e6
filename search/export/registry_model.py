"""An exported model as an MLflow model: its files, signature, requirements, run and scores."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.export.promotion import Contender

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import ModelSignature

EXAMPLES = 2
_PACKAGES = ("mlflow", "keras", "tensorflow", "numpy", "pandas")
_TABLE_PACKAGES = ("scikit-learn", "joblib")


def log_model(
    client: "MlflowClient",
    name: str,
    run: "Run",
    folder: Path,
    task: Task,
    data: SearchData,
    contender: Contender,
) -> "LoggedModel":
    """A new model of a run in MLflow: ready, or after an error marked as failed.

    Args:
        folder: The export with model.keras and, for rows, preprocessor.joblib.
    """
    from mlflow.entities import LoggedModelOutput

    run_id = run.info.run_id
    model = client.create_logged_model(
        run.info.experiment_id,
        name=name,
        source_run_id=run_id,
        tags=contender.tags(),
        model_type="keras",
    )
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory(prefix="hpsearch-") as temporary:
            path = Path(temporary, "model")
            _save(path, model, folder, task, data, contender)
            client.log_model_artifacts(model.model_id, str(path))
        client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
        _log_scores(client, run, model.model_id, contender)
        status = "READY"
    finally:
        client.finalize_logged_model(model.model_id, status)
    return model


def _save(
    path: Path,
    model: "LoggedModel",
    folder: Path,
    task: Task,
    data: SearchData,
    contender: Contender,
) -> None:
    """Writes the files of the MLflow model, of which none is found out by running it.

    MLflow would take seconds and start a process to infer signature and requirements.
    """
    import mlflow
    from mlflow.models import Model

    from pipelines import raw_inputs, serving

    artifacts = {"network": str(folder / "model.keras")}
    packages = [*_PACKAGES]
    if (folder / "preprocessor.joblib").exists():
        artifacts["preprocessor"] = str(folder / "preprocessor.joblib")
        packages += _TABLE_PACKAGES
    mlflow.pyfunc.save_model(
        path,
        python_model=serving.__file__,
        artifacts=artifacts,
        model_config=asdict(raw_inputs.contract(task)),
        mlflow_model=Model(
            model_uuid=model.model_id, model_id=model.model_id, run_id=model.source_run_id
        ),
        metadata=asdict(contender),
        signature=_signature(task, serving.words_of(data.preprocessor)),
        input_example=raw_inputs.raw_examples(task, data, EXAMPLES),
        pip_requirements=[f"{package}=={version(package)}" for package in packages],
    )


def _signature(task: Task, words: Mapping[str, object]) -> "ModelSignature":
    """What goes in and out, as far as MLflow shall check it.

    Its own checks know one rank and type of images, take no whole number where a fraction may
    be, and print all that was sent into their messages. So the model checks its input itself.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType, Object, Property

    from pipelines import raw_inputs

    inputs: list[ColSpec | TensorSpec]
    if task.has_images:
        inputs = [TensorSpec(np.dtype(object), (-1,), name="images")]
    else:
        columns = raw_inputs.COLUMNS[task.name]
        any_type = AnyType()  # type: ignore[no-untyped-call] # MLflow's
        types = {name: DataType.string if name in words else any_type for name in columns}
        inputs = [ColSpec(types[name], name, required=False) for name in columns]
    probabilities = Object([Property(name, DataType.double) for name in task.class_names])
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "class"),
        ColSpec(probabilities, "probabilities"),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _log_scores(client: "MlflowClient", run: "Run", model_id: str, contender: Contender) -> None:
    """Links the best scores of its training to the model, and the score it is compared by.

    The run has the former already, and MLflow keeps no point twice.
    """
    from mlflow.entities import Metric

    run_id = run.info.run_id
    inputs = run.inputs.dataset_inputs if run.inputs else []
    validation = next((i.dataset for i in inputs if i.dataset.name.endswith("-validation")), None)
    points = [
        (point.key, point.value, point.timestamp, point.step)
        for name in run.data.metrics
        if name.startswith("best_")
        for point in client.get_metric_history(run_id, name)[-1:]
    ]
    points.append((f"compared_{contender.metric}", contender.score, run.info.start_time, 0))
    metrics = [
        Metric(
            *point,
            model_id=model_id,
            dataset_name=validation.name if validation else None,
            dataset_digest=validation.digest if validation else None,
            run_id=run_id,
        )
        for point in points
    ]
    client.log_batch(run_id, metrics=metrics)
