"""What runs on chapter 13's Tensors, as `check` takes it: like a hand-written layer.

check(FromAutograd(autograd.Linear(3, 4)), torch.nn.Linear(3, 4), x)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy import autograd, nn
from gdl_numpy.autograd import Tensor
from gdl_numpy.messages import kind_of
from gdl_numpy.nn.checks import check_kind
from parity_tests.harness.evaluate import flatten, is_floating, unflatten

if TYPE_CHECKING:
    from collections.abc import Callable


class FromAutograd(nn.Module):
    """A module of `gdl_numpy.autograd`, or a function of Tensors, whose backward is what they recorded.

    Its parameters are the module's, under the same names. Outputs that are constants get no gradient, as
    torch's do not.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises ValueError for what cannot be called, or is a module of another framework."""
        is_foreign = hasattr(function, "state_dict") and not isinstance(function, autograd.Module)
        if is_foreign or not callable(function):
            expected = "a gdl_numpy.autograd.Module or a function of Tensors"
            raise ValueError(f"FromAutograd expects {expected}, got {kind_of(function)}")
        self.function = function
        for name, tensor in self.tensors():
            vars(self)[name] = nn.Parameter(tensor.data)

    def tensors(self) -> list[tuple[str, Tensor]]:
        return list(self.function.named_parameters()) if isinstance(self.function, autograd.Module) else []

    def forward(self, *inputs: Any) -> Any:
        for name, tensor in self.tensors():
            tensor.data, tensor.grad = vars(self)[name].data.copy(), None
        leaves = [Tensor(x, requires_grad=True) if is_floating(x) else x for x in flatten(inputs)]
        output = self.function(*unflatten(inputs, iter(leaves)))
        outputs = flatten(output)
        check_kind("FromAutograd", Tensor, **{f"output {i}": y for i, y in enumerate(outputs)})
        self.save_for_backward([x for x in leaves if isinstance(x, Tensor)], outputs)
        return unflatten(output, iter([y.data for y in outputs]))

    def backward(self, *grad_outputs: Any) -> Any:
        leaves, outputs = self.saved
        for tensor in (*leaves, *(tensor for _, tensor in self.tensors())):
            tensor.grad = None
        for y, grad in zip(outputs, grad_outputs, strict=True):
            if y.requires_grad:
                # As a hand-written layer, which may be asked again.
                y.backward(np.asarray(grad), retain_graph=True)
        for name, tensor in self.tensors():
            if tensor.grad is not None:
                vars(self)[name].accumulate(tensor.grad)
        return tuple(np.zeros_like(x.data) if x.grad is None else x.grad for x in leaves)
