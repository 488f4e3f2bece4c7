"""The layers of a torch module as they ran: the twin of `gdl_numpy.diagram.layers_of`, by forward hooks."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gdl_numpy.diagram import Recorder, named_inputs

if TYPE_CHECKING:
    from gdl_numpy.diagram import Layer


def layers_of(module: nn.Module, *inputs: Tensor) -> list[Layer]:
    """Runs a copy of the module in eval mode; returns its innermost layers in the order in which they ran."""
    module = copy.deepcopy(module).eval()
    recorder = Recorder(named_inputs(module.forward, [tensor.numpy(force=True) for tensor in inputs]))

    def hook(name: str, layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        arrays = [tensor.numpy(force=True) for tensor in given if isinstance(tensor, Tensor)]
        weights = sum(parameter.numel() for parameter in layer.parameters())
        first = output[0] if isinstance(output, tuple) else output
        kind = type(layer).__name__
        recorder.add(name, kind, arguments_of(layer), weights, arrays, first.numpy(force=True))

    for name, layer in module.named_modules():
        if next(layer.children(), None) is None:
            layer.register_forward_hook(partial(hook, name))
    with torch.no_grad():
        module(*inputs)
    return recorder.layers


def arguments_of(layer: nn.Module) -> str:
    """What the layer's `repr` shows; torch's RNN leaves its nonlinearity out."""
    if isinstance(layer, nn.RNN):
        return f"{layer.extra_repr()}, nonlinearity={layer.nonlinearity!r}"
    return layer.extra_repr()
