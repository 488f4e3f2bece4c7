"""The NumPy side stands alone: run in fresh interpreters that cannot import what it must not need."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

import gdl_numpy
import gdl_torch
from gdl_numpy.checkpoint import save_model
from gdl_numpy.models import CNN, MLP
from parity_tests.support import BLOCKER, NO_TORCH, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.nn import Module

NUMPY_ALONE = BLOCKER.format(blocked='top not in sys.stdlib_module_names | {"numpy", "gdl_numpy"}')


@pytest.mark.parametrize(
    ("blocker", "allowed", "forbidden"),
    [(NO_TORCH, "safetensors.numpy", "torch"), (NUMPY_ALONE, "json, numpy", "safetensors")],
)
def test_the_blocker_blocks(blocker: str, allowed: str, forbidden: str) -> None:
    """Without this, the tests below could pass by blocking nothing."""
    attempt = "try:\n    import {}\nexcept ImportError as error:\n    print(error)\n"
    assert run_python(blocker + attempt.format(allowed)) == ""
    assert run_python(blocker + attempt.format(forbidden)) == f"{forbidden} must not be imported here\n"


def test_layers_models_and_optimizers_need_numpy_alone() -> None:
    """Not only at import: a training step of each model runs."""
    run_python(
        NUMPY_ALONE
        + """
import numpy as np
from gdl_numpy import models, nn, optim

for model in (models.MLP(rng=0), models.CNN(channels=(4,), pool_size=2, rng=0)):
    for name in ("SGD", "Adam", "AdamW"):
        optimizer = getattr(optim, name)(list(model.parameters()), lr=0.1)
        loss = nn.CrossEntropyLoss()
        loss(model(np.zeros((3, 1, 28, 28), np.float32)), np.arange(3))
        model.backward(loss.backward())
        optim.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
"""
    )


@pytest.mark.parametrize("model", [MLP(rng=1), CNN(channels=(4,), pool_size=2, rng=2)], ids=["MLP", "CNN"])
def test_a_saved_model_predicts_where_there_is_no_torch(model: Module, tmp_path: Path) -> None:
    """The way out of the laboratory: a file, NumPy and safetensors give the same prediction, bit for bit."""
    images = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
    save_model(tmp_path / "model.safetensors", model)
    np.save(tmp_path / "images.npy", images)
    run_python(
        NO_TORCH
        + """
import numpy as np
from gdl_numpy.checkpoint import load_model

model_file, images, logits = sys.argv[1:]
np.save(logits, load_model(model_file)(np.load(images)))
assert not [name for name in sys.modules if "torch" in name.partition(".")[0]]
""",
        *(str(tmp_path / name) for name in ("model.safetensors", "images.npy", "logits.npy")),
    )
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), model.eval()(images), strict=True)


def test_training_runs_where_there_is_no_torch() -> None:
    run_python(NO_TORCH + "import gdl_numpy.training, gdl_numpy.data\ngdl_numpy.data.load('digits')")


def test_importing_data_is_cheap() -> None:
    """scikit-learn takes a second to import: only the data set that needs it pays."""
    heavy = "sklearn", "scipy", "pooch", "requests", "safetensors", "tqdm"
    code = "import sys, gdl_numpy.data; print(*(sys.modules.keys() & set(sys.argv[1:])))"
    assert run_python(code, *heavy).strip() == ""


PACKAGES = [
    name
    for root in (gdl_numpy, gdl_torch)
    for _, name, is_package in pkgutil.iter_modules(root.__path__, f"{root.__name__}.")
    if is_package
]


@pytest.mark.parametrize("package", [*PACKAGES, "gdl_numpy", "gdl_torch", "parity_tests.harness"])
def test_everything_that_a_package_names_is_there(package: str) -> None:
    """`__all__` is a promise: `from PACKAGE import *` fails where a name in it is missing."""
    exec(f"from {package} import *", {})
