"""Optimizers: how a gradient becomes a step. Same names, arguments and arithmetic as `torch.optim`.

Every update is element by element and limited by memory, not by arithmetic. So it is done on slices that fit
the cache: all its passes over a slice cost one trip to memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import real, state_dict_faults
from gdl_numpy.nn.sparse import SparseRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gdl_numpy.nn.module import Parameter

SLICE = 2**15  # elements; four float32 arrays of this length fill half a megabyte


class Optimizer:
    """A list of parameters, a learning rate, and what is remembered for each parameter.

    Attributes:
        lr: can be set between steps, for a schedule.
        steps: how many have been made.
        updates: how many of them changed each parameter: those that found a gradient.
    """

    buffers: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter], lr: float, weight_decay: float) -> None:
        """Raises ValueError for no parameters, or a negative learning rate or weight decay."""
        self.params = list(params)
        name = type(self).__name__
        lr, weight_decay = real(name, lr=lr, weight_decay=weight_decay)
        if not self.params:
            raise ValueError(f"{name} got an empty parameter list")
        if not lr >= 0:
            raise ValueError(f"{name} expects lr ≥ 0, got {lr}")
        if not weight_decay >= 0:
            raise ValueError(f"{name} expects weight_decay ≥ 0, got {weight_decay}")
        self.lr, self.weight_decay, self.steps = lr, weight_decay, 0
        self.updates = np.zeros(len(self.params), np.int64)
        self.state = [{key: np.zeros_like(p.data) for key in self.buffers} for p in self.params]

    def step(self) -> None:
        """Changes every parameter that has a gradient, in place; the gradients stay as they are.

        Raises:
            ValueError: a gradient is `SparseRows`, and this is not plain SGD.
        """
        if not self.takes_sparse_rows and any(isinstance(p.grad, SparseRows) for p in self.params):
            raise ValueError(
                f"{type(self).__name__} cannot use a sparse gradient: "
                "take SGD without momentum and weight_decay, or an Embedding with sparse=False"
            )
        self.steps += 1
        for i, (parameter, state) in enumerate(zip(self.params, self.state, strict=True)):
            if parameter.grad is None:
                continue
            self.updates[i] += 1
            if isinstance(parameter.grad, SparseRows):
                self.update_rows(parameter.data, parameter.grad)
                continue
            for data, grad, *buffers in slices(parameter.data, parameter.grad, *state.values()):
                self.update(int(self.updates[i]), data, grad, *buffers)

    @property
    def lr(self) -> float:
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        (self._lr,) = real(type(self).__name__, lr=lr)  # a float64 of NumPy's would make float64 steps

    @property
    def takes_sparse_rows(self) -> bool:
        """Whether rows with no gradient stay as they are, so that the others are all there is to do."""
        return False

    def update_rows(self, data: np.ndarray, grad: SparseRows) -> None:
        """A step of the rows that have a gradient, where `takes_sparse_rows`."""
        raise TypeError(f"{type(self).__name__} does not define update_rows")

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        """The `t`-th step of one slice of a parameter: changes `data` and `buffers`, not `grad`."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def zero_grad(self) -> None:
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Live arrays under "<parameter's position>.<buffer>", and the scalars that training changes."""
        arrays = {f"{i}.{key}": array for i, state in enumerate(self.state) for key, array in state.items()}
        return {"steps": np.array(self.steps), "updates": self.updates, "lr": np.array(self.lr), **arrays}

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray]) -> None:
        """Copies in what `state_dict` gave.

        Raises:
            ValueError: with every key or shape that does not fit. Nothing has been changed then.
        """
        own = self.state_dict()
        if faults := state_dict_faults(own, state_dict):
            raise ValueError(
                f"{type(self).__name__} cannot load the state of another optimizer or of other parameters: "
                f"{'; '.join(faults)}"
            )
        self.steps, self.lr = int(state_dict["steps"]), float(state_dict["lr"])
        for key in own.keys() - {"steps", "lr"}:
            own[key][...] = state_dict[key]


class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964) and Nesterov's variant.

    In torch's form, which for Nesterov's is that of Sutskever et al. 2013:

        g ← grad + weight_decay · p
        b ← momentum · b + g            (no momentum: b = g)
        p ← p - lr · (g + momentum · b if nesterov else b)
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        """Raises ValueError for a negative argument, or Nesterov without momentum."""
        (momentum,) = real("SGD", momentum=momentum)
        if not momentum >= 0:
            raise ValueError(f"SGD expects momentum ≥ 0, got {momentum}")
        if nesterov and momentum == 0:
            raise ValueError("SGD expects momentum > 0 with nesterov=True, got 0")
        self.momentum, self.nesterov = momentum, nesterov
        if momentum:
            self.buffers = ("momentum_buffer",)
        super().__init__(params, lr, weight_decay)

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        step = grad + self.weight_decay * data if self.weight_decay else grad
        for buffer in buffers:
            buffer *= self.momentum
            buffer += step
            step = step + self.momentum * buffer if self.nesterov else buffer
        data -= self.lr * step

    @property
    def takes_sparse_rows(self) -> bool:
        return not self.momentum and not self.weight_decay

    def update_rows(self, data: np.ndarray, grad: SparseRows) -> None:
        rows = max(1, SLICE // data.shape[1])
        for start in range(0, len(grad.indices), rows):
            indices, values = grad.indices[start : start + rows], grad.values[start : start + rows]
            updated = data.take(indices, axis=0)
            updated -= self.lr * values
            data[indices] = updated


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), https://arxiv.org/abs/1412.6980.

    The t-th step of a parameter, counting those that found a gradient:

        g ← grad + weight_decay · p
        m ← β₁ m + (1 - β₁) g                 v ← β₂ v + (1 - β₂) g²
        p ← p - lr · m̂ / (√v̂ + eps)           m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        """Raises ValueError for a negative argument, or a beta outside [0, 1)."""
        name = type(self).__name__
        beta1, beta2, eps = real(name, beta1=betas[0], beta2=betas[1], eps=eps)
        betas = beta1, beta2
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{name} expects betas in [0, 1), got {betas}")
        if not eps >= 0:
            raise ValueError(f"{name} expects eps ≥ 0, got {eps}")
        self.betas, self.eps = betas, eps
        super().__init__(params, lr, weight_decay)

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        self.moments_step(t, data, grad + self.weight_decay * data if self.weight_decay else grad, *buffers)

    def moments_step(
        self, t: int, data: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray
    ) -> None:
        beta1, beta2 = self.betas
        scratch = (1 - beta1) * grad
        exp_avg *= beta1
        exp_avg += scratch
        np.multiply(grad, 1 - beta2, out=scratch)  # first, so that g² alone need not fit the dtype
        scratch *= grad
        exp_avg_sq *= beta2
        exp_avg_sq += scratch

        np.sqrt(exp_avg_sq, out=scratch)
        scratch /= math.sqrt(1 - beta2**t)
        scratch += self.eps
        np.divide(exp_avg, scratch, out=scratch)
        scratch *= self.lr / (1 - beta1**t)
        data -= scratch


class AdamW(Adam):
    """Adam with decay of the weights themselves, p ← (1 - lr · weight_decay) p (Loshchilov & Hutter 2019)."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        data *= 1 - self.lr * self.weight_decay
        self.moments_step(t, data, grad, *buffers)


def clip_grad_norm_(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scales all gradients in place so that together, as one vector, they are no longer than `max_norm`.

    As `torch.nn.utils.clip_grad_norm_` (Pascanu et al. 2013).

    Returns:
        the 2-norm before clipping.

    Raises:
        ValueError: a negative `max_norm`.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_ expects max_norm ≥ 0, got {max_norm}")
    grads = [
        p.grad.values if isinstance(p.grad, SparseRows) else p.grad for p in parameters if p.grad is not None
    ]
    norm = math.sqrt(sum(float(np.vdot(grad, grad)) for grad in grads))
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1:  # nan too: a gradient that is no number spreads to all, as in torch, and is seen
        with np.errstate(invalid="ignore"):
            for grad in grads:
                grad *= scale
    return norm


OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}


def slices(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays of one shape, as views of at most SLICE elements, side by side. All are C-contiguous."""
    if arrays[0].ndim and arrays[0].size <= SLICE:  # of no dimension, NumPy's results would be no arrays
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, SLICE):
        yield tuple(array[start : start + SLICE] for array in flat)
