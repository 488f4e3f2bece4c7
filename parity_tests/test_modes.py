"""Two modules are no twins where one alone drops, draws, freezes, or is in another mode."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn as torch_nn

from gdl_numpy import nn
from parity_tests.harness import check, check_trace, write_trace
from parity_tests.support.reports import batch, fails

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def linear(*more: torch_nn.Module) -> torch_nn.Sequential:
    return torch_nn.Sequential(torch_nn.Linear(4, 4), *more)


@pytest.mark.parametrize(
    "first", [lambda: linear(), lambda: nn.Sequential(nn.Linear(4, 4, rng=0))], ids=["torch", "NumPy"]
)
def test_a_dropout_that_one_side_alone_has(first: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torch_module draws at random in '1', where numpy_module has no"):
        check(first(), linear(torch_nn.Dropout(0.9)), batch())
    check(first().eval(), linear(torch_nn.Dropout(0.9)).eval(), batch()).raise_if_different()
    path = tmp_path / "run.safetensors"
    write_trace(path, first(), batch())
    with pytest.raises(ValueError, match="draws at random in '1'"):
        check_trace(path, linear(torch_nn.Dropout(0.9)))


def test_a_module_inside_in_another_mode() -> None:
    """One that is in eval mode alone, such as frozen batch normalization, is so on both sides or on none."""
    one, other = linear(torch_nn.BatchNorm1d(4)), linear(torch_nn.BatchNorm1d(4))
    other[1].eval()
    with pytest.raises(ValueError, match="'1' is in eval mode, unlike the whole, in torch_module alone"):
        check(one, other, batch())
    with pytest.raises(ValueError, match="in numpy_module alone"):
        check(other, one, batch())
    check(other, copy.deepcopy(other), batch()).raise_if_different()


@pytest.mark.parametrize(
    "layer", [torch_nn.AlphaDropout(0.5), torch_nn.Dropout1d(0.5), torch_nn.RReLU()], ids=repr
)
def test_a_layer_that_draws_and_is_no_dropout_layer(layer: torch_nn.Module) -> None:
    with pytest.raises(ValueError, match="numpy_module draws at random"):
        check(layer, copy.deepcopy(layer), batch(16, 8, 4))  # 128 channels: no two draws are the same


def test_frozen_on_one_side_alone() -> None:
    one, other = linear(), linear()
    other[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"'0\.weight' is frozen in torch_module alone"):
        check(one, other, batch())
    with pytest.raises(ValueError, match=r"'0\.weight' is frozen in numpy_module alone"):
        check(other, one, batch())
    report = check(nn.Sequential(nn.Linear(4, 4, rng=0)), other, batch())
    report.raise_if_different()
    assert "frozen in torch, and not trained: 0.weight" in str(report)


def test_buffers_that_change_are_told() -> None:
    report = check(linear(torch_nn.BatchNorm1d(4)), linear(torch_nn.BatchNorm1d(4)), batch())
    report.raise_if_different()
    assert "buffers, which are not compared, change: 1.num_batches_tracked, 1.running_mean" in str(report)


def test_layers_without_counterpart_are_told() -> None:
    own, twin = nn.Sequential(nn.Linear(4, 4, rng=0), nn.ReLU()), linear(torch_nn.ReLU())
    report = check(own, twin, batch(), names={"1": None})
    report.raise_if_different()
    assert "without counterpart, and compared by what comes of it: 1" in str(report)


class Dict(torch_nn.Module):
    """Gives a dict."""

    def __init__(self, first: str, second: str, swapped: bool = False) -> None:
        super().__init__()
        self.fc, self.names, self.swapped = torch_nn.Linear(4, 3), (first, second), swapped

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.fc(x)
        pairs = list(zip(self.names, (y, 2 * y), strict=True))
        return dict(reversed(pairs) if self.swapped else pairs)


def test_dicts_go_by_their_keys(dtype: str) -> None:
    x = batch(dtype=dtype)
    check(Dict("logits", "aux"), Dict("logits", "aux", swapped=True), x).raise_if_different()
    fails(check(Dict("logits", "aux"), Dict("aux", "logits"), x), "output 0 of the model")
    fails(check(Dict("a", "b"), Dict("y", "z"), x), "has the keys ['y', 'z'], expected ['a', 'b']")


class Indices(torch_nn.Module):
    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.fc, self.shift = torch_nn.Linear(4, 3), shift

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y = self.fc(x)
        return y, y.argmax(dim=1) + self.shift, y > 0


def test_whole_numbers_and_flags_are_compared_as_they_are(dtype: str) -> None:
    check(Indices(), Indices(), batch(dtype=dtype)).raise_if_different()
    fails(check(Indices(), Indices(1), batch(dtype=dtype)), "output 1 of the model")


def test_what_check_does_not_take() -> None:
    anything: Any = nn.ReLU
    with pytest.raises(ValueError, match=r"numpy_module is expected to be a gdl_numpy.*, got a type"):
        check(anything, torch_nn.ReLU(), batch())
    anything = nn.ReLU()
    with pytest.raises(ValueError, match=r"torch_module is expected to be a torch\.nn\.Module, got a ReLU"):
        check(torch_nn.ReLU(), anything, batch())
    anything = nn.MSELoss()
    with pytest.raises(ValueError, match="loss is expected to be those of both sides"):
        check(nn.ReLU(), torch_nn.ReLU(), batch(), batch(), anything)


def test_optimizers_that_numpy_has_not() -> None:
    with pytest.raises(ValueError, match="optimizer is expected to be SGD, Adam, AdamW, got 'RMSprop'"):
        check(linear(), linear(), batch(), optimizer="RMSprop")


def test_what_cannot_be_copied() -> None:
    with pytest.warns(FutureWarning):
        old = torch_nn.Sequential(torch_nn.utils.weight_norm(torch_nn.Linear(4, 4)))
    old(torch.ones(1, 4))
    with pytest.raises(ValueError, match="Sequential cannot be copied: "):
        check(old, linear(), batch())
