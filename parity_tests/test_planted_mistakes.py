"""The checker is checked: each term of each layer, wrong in one way, is noticed and its layer named."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from parity_tests.detection.patients import find, one_image_at_a_time, patient
from parity_tests.detection.plants import BACKWARD_PLANTS, FORWARD_PLANTS, Plant, plant
from parity_tests.harness import check
from parity_tests.harness.central import central_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with one_image_at_a_time():
        yield


@pytest.fixture(scope="module")
def agrees() -> Callable[[str], bool]:
    """Whether a layer without a mistake passes: found out once, not before each of its mistakes."""
    return cache(lambda layer: check(*patient(layer), dtype="float64", steps=0).ok)


@pytest.mark.usefixtures("small_blocks", "unchecked_types")
@pytest.mark.parametrize("mistake", FORWARD_PLANTS + BACKWARD_PLANTS, ids=str)
def test_a_planted_mistake_is_caught_and_its_layer_named(
    mistake: Plant, agrees: Callable[[str], bool]
) -> None:
    """Each term of each backward pass, wrong in one way: the harness notices and says where."""
    assert agrees(mistake.layer)
    own, twin, x, target = patient(mistake.layer)
    name, faulty = find(own, mistake.layer)
    plant(faulty, mistake)
    report = check(own, twin, x, target, dtype="float64", steps=0)
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == name
    backward = mistake in BACKWARD_PLANTS
    if "ties" not in mistake.kind:  # equal numbers give the same maximum: those show only in the gradient
        assert report.first_disagreement.tensor.startswith("grad" if backward else "output")


@pytest.mark.parametrize(
    "mistake",
    [
        p
        for p in BACKWARD_PLANTS
        if p.layer in ("Linear", "ReLU", "Sigmoid", "Tanh", "Softmax")
        and p.kind not in ("wrong axis", "missing term")
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked_types")
def test_central_differences_see_it_without_torch(mistake: Plant) -> None:
    rng = np.random.default_rng(1)
    layer = getattr(nn, mistake.layer)(
        **({"in_features": 6, "out_features": 6, "rng": rng} if mistake.layer == "Linear" else {})
    )
    x = rng.standard_normal((6, 6))
    assert all(c.ok for c in central_differences(layer, x))
    plant(layer, mistake)
    if mistake.kind != "gradient at zero":  # that one is no slope, but a convention shared with torch
        assert not all(c.ok for c in central_differences(layer, x))


@pytest.mark.usefixtures("unchecked_types")
def test_a_mistake_in_windows_that_tile() -> None:
    """Side by side, pooling's windows take a branch of their own, which the zoo's overlapping ones do not."""
    layer, x = nn.MaxPool2d(2), np.random.default_rng(0).standard_normal((3, 2, 6, 8))
    assert check(layer, torch.nn.MaxPool2d(2), x).ok
    old = "keep_where(winner == position, grad, out"
    plant(layer, Plant("wrong place", "MaxPool2d", "max_along_backward", old, old.replace("==", "!=")))
    report = check(layer, torch.nn.MaxPool2d(2), x)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "grad_input"


@pytest.mark.usefixtures("unchecked_types")
def test_a_mistake_in_images_of_many_channels() -> None:
    """They are channels-last in memory, and multiplied otherwise than the zoo's few channels."""
    layer, x = nn.Conv2d(9, 33, 3, rng=0), np.random.default_rng(0).standard_normal((3, 9, 5, 6))
    assert check(layer, torch.nn.Conv2d(9, 33, 3), x).ok
    plant(layer, Plant("wrong sign", "Conv2d", "multiply_windows", "(windows, matrix,", "(-windows, matrix,"))
    report = check(layer, torch.nn.Conv2d(9, 33, 3), x)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "output"


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("tensor", "old", "new"),
    [
        ("output", "rows *= weights[:, None]", "pass"),
        ("output", "weights[start:end]", "weights[:length]"),
        ("output", "weights[counted]", "weights[::-1][counted]"),
        ("grad weight", "bag_of, weights)", "bag_of, None)"),
        ("grad_input", "rows.take(bag_of, axis=0)", "rows.take(0 * bag_of, axis=0)"),
        ("grad_input", "table.take(ids, axis=0))", "table.take(0 * ids, axis=0))"),
        ("grad_input", "grad[counted] = grad_weights", "grad[: len(grad_weights)] = grad_weights"),
    ],
)
def test_a_mistake_in_weighed_bags(tensor: str, old: str, new: str) -> None:
    """In sums of long and of short bags, with padding."""
    rng = np.random.default_rng(0)
    long = "start:end" in old
    ids, offsets = rng.integers(0, 5, 300 if long else 15), np.array([0, 3, 3, 8])
    layer, twin = (
        nn.EmbeddingBag(5, 4, mode="sum", padding_idx=2, rng=0),
        torch.nn.EmbeddingBag(5, 4, mode="sum", padding_idx=2),
    )
    inputs = ids, offsets, rng.standard_normal(len(ids))
    assert check(layer, twin, inputs).ok
    function = next(
        name
        for name in ("_sums", "forward", "backward")
        if old in inspect.getsource(getattr(nn.EmbeddingBag, name))
    )
    plant(layer, Plant("weights", "EmbeddingBag", function, old, new))
    report = check(layer, twin, inputs)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor.startswith(tensor)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("tensor", "function", "old", "new"),
    [
        ("output", "_answers", "smoothing / classes", "smoothing"),
        ("output", "_answers", "1 - smoothing", "1"),
        ("output", "_answers", "q *= self.weight.astype(q.dtype)", "pass"),
        ("output", "forward", "self.weight[chosen[1]] * counted", "counted"),
        ("grad_input", "backward", "grad *= q.sum(axis=1, keepdims=True)", "pass"),
        ("grad_input", "backward", "grad -= q", "grad += q"),
    ],
)
def test_a_mistake_in_weights_or_smoothing(tensor: str, function: str, old: str, new: str) -> None:
    weight, options = np.array([0.5, 1.0, 2.0, 3.0]), {"label_smoothing": 0.2}
    layer = nn.CrossEntropyLoss(weight, **options)  # type: ignore[arg-type]
    twin = torch.nn.CrossEntropyLoss(torch.from_numpy(weight), **options)  # type: ignore[arg-type]
    given = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, -100, 3, 2, -100])
    assert check(layer, twin, *given).ok
    plant(layer, Plant("answers", "CrossEntropyLoss", function, old, new))
    report = check(layer, twin, *given)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == tensor
