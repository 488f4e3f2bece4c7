"""The base of every layer, loss and model: parameters, their gradients, and the tree that holds them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from gdl_numpy.nn.calls import Differentiable, no_grad, thread
from gdl_numpy.nn.checks import state_dict_faults
from gdl_numpy.nn.sparse import SparseRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import DTypeLike


M = TypeVar("M", bound="Module")


class Parameter:
    """An array that training changes, and the gradient gathered for it.

    Attributes:
        data: the values. Optimizers change them in place, so an array that is read-only, or does not lie row
            after row in memory (a transpose, say), is copied when it is assigned.
        grad: dLoss/ddata, same shape and dtype; `SparseRows` where a layer looked up only some rows; None
            after `zero_grad`.
    """

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.grad: np.ndarray | SparseRows | None = None

    @property
    def data(self) -> np.ndarray:
        return self._data

    @data.setter
    def data(self, data: np.ndarray) -> None:
        self._data = np.require(data, requirements=["C", "W"])

    def accumulate(self, grad: np.ndarray | SparseRows) -> None:
        """Adds `grad` to `.grad`. The array becomes the parameter's: pass one that nobody else keeps."""
        if self.grad is None:
            self.grad = grad if isinstance(grad, SparseRows) else np.asarray(grad, order="C")
        elif isinstance(self.grad, SparseRows) and isinstance(grad, SparseRows):
            self.grad = self.grad + grad
        else:  # dense as soon as one of them is
            dense = [g.to_dense() if isinstance(g, SparseRows) else g for g in (self.grad, grad)]
            self.grad = dense[0]
            self.grad += dense[1]

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype})"


class Module(Differentiable):
    """A differentiable function with parameters; the NumPy counterpart of `torch.nn.Module`.

    Where torch records a graph, a module here has two methods that are each other's mirror:

    * `forward(x) -> y` computes the output and keeps what the gradient will need (`save_for_backward`);
    * `backward(grad_output) -> grad_input` takes dL/dy, adds dL/dp to every parameter p, returns dL/dx. It
      belongs to the latest forward pass that has not been taken back.

    Parameters and submodules are plain attributes; their order of assignment is their order everywhere.

    Attributes:
        input_layer: the child that alone gets the inputs, if a class says so beside its `forward`: then that
            child need not compute the inputs' gradient where the module need not.
    """

    input_layer: ClassVar[str | None] = None
    needs_input_grad = True

    def forward(self, *inputs: Any) -> Any:
        raise TypeError(f"{type(self).__name__} does not define forward")

    def backward(self, grad_output: Any) -> Any:
        raise TypeError(f"{type(self).__name__} does not define backward")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not thread.depth:
            thread.calls += 1
        thread.depth += 1
        try:
            return self.forward(*inputs, **named)
        finally:
            thread.depth -= 1

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and all below it, parents first, with dotted names."""
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            yield path, module
            children = [(name, value) for name, value in vars(module).items() if isinstance(value, Module)]
            waiting += [(f"{path}.{name}" if path else name, child) for name, child in reversed(children)]

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Every parameter, a shared one once, under the first name that leads to it, or under all names."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def train(self: M, mode: bool = True) -> M:
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        return self.train(False)

    def requires_input_grad_(self: M, requires_grad: bool = True) -> M:
        """Says whether `backward` must return dL/dx; without it, a layer returns None and saves that product.

        The gradient of the data itself is needed to prove a backward pass, never to train. Torch has the same
        switch on the input tensor (`x.requires_grad_()`). Children that get the inputs are told too, as far
        as it is known which those are; all others need the gradient for the parameters before them.
        """
        self.needs_input_grad = requires_grad
        for child in self._input_layers():
            child.requires_input_grad_(requires_grad)
        return self

    def _input_layers(self) -> Iterator[Module]:
        """The children whose input depends on the module's inputs alone, on no parameter."""
        # A subclass with a forward of its own may do anything with its base's children.
        defining = next(cls for cls in type(self).__mro__ if "forward" in vars(cls))
        name = vars(defining).get("input_layer")
        if name is not None:
            yield getattr(self, name)

    def astype(self: M, dtype: DTypeLike) -> M:
        """Converts all parameters in place to `dtype`, drops their gradients, and returns the module."""
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = None
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """The live arrays of all parameters, under the keys that the torch twin uses: all of their names."""
        return {name: parameter.data for name, parameter in self.named_parameters(remove_duplicate=False)}

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray], strict: bool = True) -> None:
        """Copies values in, converted to each parameter's dtype.

        Args:
            state_dict: name to array, as `state_dict()` gives it.
            strict: refuse missing and unexpected keys too, not only wrong shapes.

        Raises:
            RuntimeError: with every missing, unexpected and misshapen key. Nothing has been changed then.
        """
        own = self.state_dict()
        if faults := state_dict_faults(own, state_dict, strict):
            raise RuntimeError(f"{type(self).__name__} cannot load this state_dict: {'; '.join(faults)}")
        for name in own.keys() & state_dict.keys():
            own[name][...] = state_dict[name]

    def extra_repr(self) -> str:
        """The arguments to show in `repr`, for the messages that must say which layer they mean."""
        return ""

    def __repr__(self) -> str:
        children = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n".join([f"{type(self).__name__}(", *children, ")"])


class ReadsIds(Module):
    """Base of the models whose input is ids: ids have no gradient, the tables of what they stand for do."""

    def requires_input_grad_(self: M, requires_grad: bool = True) -> M:
        """Without effect: there is no gradient of the input that could be left out."""
        return self


class Sequential(Module):
    """Layers one after the other, named "0", "1", … as in `torch.nn.Sequential`."""

    def __init__(self, *layers: Module) -> None:
        for index, layer in enumerate(layers):
            setattr(self, str(index), layer)

    def __iter__(self) -> Iterator[Module]:
        return iter([value for value in vars(self).values() if isinstance(value, Module)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self:
            x = layer(x)
        return x

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        grad: np.ndarray | None = grad_output
        for layer in reversed(list(self)):
            if grad is None:  # no parameters come before, and nobody asked for the input's gradient
                for _, module in layer.named_modules():
                    module.drop_saved()
            else:
                grad = layer.backward(grad)
        return grad

    def _input_layers(self) -> Iterator[Module]:
        if type(self).forward is Sequential.forward:
            for layer in self:
                yield layer
                if next(layer.parameters(), None) is not None:
                    return


@contextmanager
def modes_kept(module: Module) -> Iterator[None]:
    """Within, `module` may be put in another mode; then each module in it is back in the mode that it had."""
    before = [(part, part.training) for _, part in module.named_modules()]
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """Within, `module` is in eval mode and keeps nothing for backward; its modes are as before at the end."""
    with modes_kept(module), no_grad():
        module.eval()
        yield
