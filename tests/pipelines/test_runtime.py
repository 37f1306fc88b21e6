"""The runtime: what TensorFlow and Keras are told, and that a seed means something."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import runtime
from pipelines.runtime import Precision, Runtime
from pipelines.session import TrainingSession
from pipelines.splits import SearchData
from pipelines.tasks import TASKS
from spaces.config import Augmentation, Config, ConvBlock, DenseLayer, Network

MakeConfig = Callable[..., Config]

ROOT = Path(__file__).parents[2]
BFLOAT16 = Runtime(threads=1, precision="bfloat16")
CNN = Network(blocks=(ConvBlock(filters=8),), layers=(DenseLayer(units=32),))


@pytest.mark.parametrize(
    ("precision", "policy"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")]
)
def test_a_fresh_graph_has_the_policy_of_the_precision(
    precision: Precision, policy: str, how: Runtime
) -> None:
    runtime.fresh_graph(Runtime(how.threads, precision), seed=0)
    assert keras.config.dtype_policy().name == policy


def test_tables_are_trained_without_onednn_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for before, images in [(None, True), (None, False), ("1", False)]:
        with monkeypatch.context() as patch:
            patch.delenv(runtime.ONEDNN, raising=False)
            if before:
                patch.setenv(runtime.ONEDNN, before)
            runtime.choose_kernels(images=images)
            found.append(os.environ.pop(runtime.ONEDNN, None))
    assert found == [None, "0", "1"]


def test_bfloat16_computes_inside_and_answers_in_float32(
    how: Runtime, digits: SearchData, config: MakeConfig
) -> None:
    session = TrainingSession(TASKS["digits"], digits, config(CNN), seed=1, how=BFLOAT16)
    dtypes = {layer.name: layer.compute_dtype for layer in session.model.layers}
    assert dtypes["conv_1"] == dtypes["dense_1"] == "bfloat16"
    assert dtypes["logits"] == dtypes["probabilities"] == "float32"
    assert {variable.dtype for variable in session.model.trainable_variables} == {"float32"}

    rows = session.advance(3)
    assert rows[-1]["val_accuracy"] > 0.7
    probabilities = session.predict()
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)  # bfloat16 would be off by 1e-2


def test_threads_cannot_change_once_tensorflow_runs(how: Runtime) -> None:
    keras.ops.ones(1)
    runtime.configure(how)
    with pytest.raises(RuntimeError, match="cannot be modified"):
        runtime.configure(Runtime(threads=how.threads + 1))


class FakeGpus:
    """What TensorFlow is told of the GPUs that it thinks to have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.visible: object = None
        self.growing: list[str] = []
        names = [f"gpu {number}" for number in range(count)]
        config, experimental = tf.config, tf.config.experimental
        monkeypatch.setattr(config, "list_physical_devices", lambda _: names)
        monkeypatch.setattr(config, "set_visible_devices", self.show)
        monkeypatch.setattr(experimental, "set_memory_growth", self.grow)

    def show(self, devices: object, device_type: str) -> None:
        assert device_type == "GPU"
        self.visible = devices

    def grow(self, gpu: str, *, enable: bool) -> None:
        assert enable
        self.growing.append(gpu)


@pytest.mark.parametrize(
    ("worker", "gpu"), [(None, "gpu 0"), ("0", "gpu 0"), ("1", "gpu 1"), ("5", "gpu 2")]
)
def test_a_worker_has_one_gpu_and_no_more_of_its_memory_than_it_needs(
    worker: str | None, gpu: str, how: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = FakeGpus(monkeypatch, 3)
    if worker is not None:
        monkeypatch.setenv(runtime.RANK, worker)
    runtime.configure(how)
    assert (gpus.visible, gpus.growing) == (gpu, [gpu])


def test_without_a_gpu_no_device_is_chosen(how: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = FakeGpus(monkeypatch, 0)
    runtime.configure(how)
    assert (gpus.visible, gpus.growing) == (None, [])


def test_tensorflow_is_asked_for_the_capability_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = tf.config.list_physical_devices("CPU")  # real devices, without that detail
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: cpus)
    assert runtime.gpu_capabilities() == [(0, 0)]


def test_a_failing_import_still_shows_what_the_libraries_said(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        os.write(2, b"libfoo.so: cannot open")
        raise ImportError

    with pytest.raises(ImportError), runtime.no_native_noise():
        fail()
    assert capfd.readouterr().err == "libfoo.so: cannot open"


def test_what_the_libraries_say_at_import_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime.no_native_noise():
        os.write(2, b"no GPU found")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


DETERMINISTIC = """
import json, sys
from pipelines.runtime import Runtime
from pipelines.segment import load_data, prepare
from pipelines.tasks import TASKS
from spaces.config import Augmentation, Config, ConvBlock, DenseLayer, Network
how = Runtime(threads=2, deterministic=True)
prepare("digits", None, how)
from pipelines.session import TrainingSession
config = Config.model_validate_json(sys.argv[1])
runs = [
    TrainingSession(TASKS["digits"], load_data("digits", None), config, seed=5, how=how).advance(1)
    for _ in range(2)
]
print(json.dumps([[{k: v for k, v in row.items() if k != "epoch_seconds"} for row in run] for run in runs]))
"""


def test_deterministic_threads_give_the_same_rows_to_the_last_bit(config: MakeConfig) -> None:
    everything = config(
        Network(
            blocks=(ConvBlock(filters=8, batch_norm="before", dropout=0.1),),
            layers=(DenseLayer(units=16, dropout=0.1),),
        ),
        augmentation=Augmentation(shift=0.1, rotation=10, flip=True, erasing=0.3),
    )
    run = subprocess.run(
        [sys.executable, "-c", DETERMINISTIC, everything.model_dump_json()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = json.loads(run.stdout)
    assert len(first) == 1
    assert first == second
    assert run.stderr == ""
