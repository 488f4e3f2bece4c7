"""Running a torch module as `evaluate` runs a NumPy one, so that both write down the same things."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import nn

from gdl_numpy.nn import Module
from parity_tests.harness.evaluate import Evaluation, GradOutputs, flatten, unflatten
from parity_tests.harness.rounding import Precision, precision_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

TORCH_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
}


def run_torch(
    module: nn.Module,
    inputs: Sequence[Any],
    targets: Sequence[Any],
    grad_outputs: GradOutputs,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> Evaluation:
    """The same on the torch side. With `dtype`, it gets its floating inputs in that."""
    leaves = [to_torch(leaf, device, dtype) for leaf in flatten(inputs)]
    differentiable = [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]
    # Clones, since a leaf that needs a gradient may not be changed in place, as an activation may change it.
    clones = iter([leaf.clone() for leaf in leaves])
    arguments = list(unflatten(tuple(inputs), clones))
    while arguments and arguments[-1] is None:  # not given, and perhaps not known to torch's layer
        arguments.pop()
    compared = unflatten(tuple(targets), iter([to_torch(leaf, device, dtype) for leaf in flatten(targets)]))
    output = module(*arguments, *compared)
    outputs = flatten(output)
    grads = [to_torch(grad, device, dtype) for grad in grad_outputs([to_numpy(leaf) for leaf in outputs])]
    module.zero_grad()
    pairs = [(y, grad) for y, grad in zip(outputs, grads, strict=False) if y.requires_grad]
    torch.autograd.backward([y for y, _ in pairs], [grad for _, grad in pairs])
    return Evaluation(
        [to_numpy(leaf) for leaf in outputs],
        [to_numpy(torch.zeros_like(x) if x.grad is None else x.grad) for x in differentiable],
        {
            name: to_numpy(p.grad)
            for name, p in module.named_parameters(remove_duplicate=False)
            if p.grad is not None
        },
    )


def to_torch(array: np.ndarray, device: str | torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(array)).to(device)
    return tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    array: np.ndarray = (tensor.to_dense() if tensor.is_sparse else tensor).cpu().numpy().copy()
    return array


def check_readable(kind: str, leaves: Iterable[Any]) -> None:
    """Refuses tensors that stand for others and have no values of their own, as in `torch.vmap`.

    Raises:
        ValueError: one of them; `kind` is the class of the module that gets or gives it.
    """
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor) and not leaf.is_sparse:
            try:
                leaf.data_ptr()
            except RuntimeError as error:
                raise ValueError(
                    f"{kind} is called where tensors have no values, as in torch.vmap: call it outside"
                ) from error


def twin(
    torch_module: nn.Module, numpy_module: Module, dtype: DTypeLike | Precision, device: str
) -> nn.Module:
    """A copy of the torch module in `dtype` on `device`, in the NumPy module's modes and with its weights.

    Raises:
        ValueError: the two do not have the same parameters.
    """
    clone = copy.deepcopy(torch_module).to(device=device, dtype=TORCH_DTYPES[precision_of(dtype).name])
    parts = dict(clone.named_modules(remove_duplicate=False))
    for name, own in numpy_module.named_modules():  # parents first: what has no counterpart is as its parent
        if name in parts:
            parts[name].train(own.training)
    load_parameters_(clone, numpy_module.state_dict())
    return clone


def load_parameters_(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies arrays into a torch module's parameters. Its buffers, such as running means, stay as they are.

    Raises:
        ValueError: other names or shapes than the parameters'.
    """
    own = dict(module.named_parameters(remove_duplicate=False))
    given = {name: tuple(array.shape) for name, array in arrays.items()}
    faults = [f"torch_module has no {name}" for name in given if name not in own]
    faults += [f"numpy_module has no {name}" for name in own if name not in given]
    faults += [
        f"{name} has shape {given[name]} in numpy_module and {tuple(parameter.shape)} in torch_module"
        for name, parameter in own.items()
        if given.get(name, tuple(parameter.shape)) != tuple(parameter.shape)
    ]
    if faults:
        raise ValueError(f"the two sides do not have the same parameters: {'; '.join(faults)}")
    with torch.no_grad():
        for name, array in arrays.items():
            own[name].copy_(torch.from_numpy(np.array(array)))


@contextmanager
def fixed_dropout(module: nn.Module, choices: Mapping[str, Sequence[np.ndarray]] | None) -> Iterator[None]:
    """Within, each dropout layer of torch keeps what it is told to instead of drawing.

    Two random streams would tie the comparison to how a framework draws its numbers, which it is not about.
    A layer that is called more often than it is told what to keep, keeps all.

    Args:
        module: the layer, or has them inside.
        choices: what each keeps (True) in each of its calls in turn, by its name; None to keep all.

    Raises:
        ValueError: a layer that would drop something is called, and not told what.
    """

    def choose(masks: Iterator[np.ndarray]) -> Callable[[nn.Dropout, Any, torch.Tensor], torch.Tensor]:
        def hook(layer: nn.Dropout, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
            kept = next(masks, None)
            if kept is None:
                return output
            scale = 1 / (1 - layer.p) if layer.p < 1 else 0.0
            return inputs[0] * to_torch(kept, inputs[0].device) * scale

        return hook

    def refuse(name: str, layer: nn.Dropout, _: Any) -> None:
        if layer.training and layer.p > 0:
            where = f"in {name!r}, where" if name else "and"
            raise ValueError(
                f"torch_module draws at random {where} numpy_module has no gdl_numpy.nn.Dropout in training "
                "mode that could tell what is kept: give it one, or check both in eval mode"
            )

    dropouts = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Dropout)]
    training = [m.training for _, m in dropouts]
    handles: list[Any] = []
    for name, m in dropouts:
        if choices is not None and name not in choices:
            handles.append(m.register_forward_pre_hook(partial(refuse, name)))
            continue
        handles.append(m.register_forward_hook(choose(iter(choices[name] if choices else []))))
        m.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for (_, m), mode in zip(dropouts, training, strict=True):
            m.train(mode)


@contextmanager
def plain_arithmetic(module: nn.Module, tf32: bool = False) -> Iterator[None]:
    """Within, float32 means float32 and a sum means a sum: what the error bounds are about.

    TF32 is off, unless it is what is to be checked. cuDNN may answer a convolution with Winograd's or an FFT
    algorithm, whose rounding errors are not those of a sum of products; for models that convolve it is off
    too, and torch unfolds and multiplies as `gdl_numpy` does.
    """
    convolves = any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with torch.backends.cudnn.flags(enabled=not convolves, deterministic=True, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
