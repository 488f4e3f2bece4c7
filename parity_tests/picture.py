"""Both sides of any model as they ran, on an example that fits it: what `scripts/picture.py` draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gdl_torch.diagram
from gdl_numpy import diagram
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import as_dtype
from parity_tests.harness.model_cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdl_numpy.diagram import Layer

Example = tuple["Mapping[str, Any]", tuple[Any, ...]]  # constructor arguments, and inputs that fit


def example_of(name: str) -> Example:
    """The book's sizes, with 32 images or 16 streams of 25 characters; of other models a small variant."""
    rng, case = np.random.default_rng(0), MODELS[name]
    if name in ("MLP", "CNN"):
        return {}, (rng.random((32, 1, 28, 28)),)
    if name in ("RNNLanguageModel", "LSTMLanguageModel"):
        return {}, (rng.integers(0, 65, (25, 16)),)
    return case.variants[0], inputs_of(name, case.variants[0], rng)


def inputs_of(name: str, arguments: Mapping[str, Any], rng: np.random.Generator) -> tuple[Any, ...]:
    """Three examples that fit a model of these arguments; of the contrastive encoder, one view of them."""
    inputs, _ = MODELS[name].example(arguments, 3, rng)
    return as_arguments(inputs[0] if name == "ContrastiveEncoder" else inputs)


def sides_of(name: str, example: Example) -> dict[str, tuple[Sequence[Layer], str]]:
    """What `network_picture.draw` takes: of each side the layers that ran, and the source."""
    arguments, inputs = example
    numpy_model, torch_model = MODELS[name].build(arguments)
    given = as_dtype(inputs, np.float32)
    there = gdl_torch.diagram.layers_of(torch_model, *map(torch.tensor, given))
    return {
        "NumPy": (diagram.layers_of(numpy_model, *given), diagram.source_of(type(numpy_model))),
        "torch": (there, diagram.source_of(type(torch_model))),
    }
