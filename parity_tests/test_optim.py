"""Optimizers: over many steps of one gradient sequence, NumPy's parameters stay with torch's.

The gradients are drawn, not computed: nothing but the update rule is at work. The allowed difference is the
harness's: how far float64 runs move whose gradients, buffers, parameters and steps are off by rounding.
"""

from __future__ import annotations

import copy
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from gdl_numpy import nn, optim
from parity_tests.harness import Comparison, ParityReport
from parity_tests.harness.report import compare, distance
from parity_tests.harness.rounding import comparison_roundoff, gamma, unit_roundoff
from parity_tests.harness.side import Disturbance, NumpySide, OptimizerSpec
from parity_tests.harness.torch_side import TorchSide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STEPS = 24
PAIRS = 8  # of opposite disturbances
SHAPES = {"matrix": (5, 3), "vector": (4,), "number": (), "nothing": (0, 2)}

Gradients = dict[str, np.ndarray | None]


class Weights(nn.Module):
    """Parameters of several shapes and magnitudes, and nothing that uses them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        for scale, (name, shape) in enumerate(SHAPES.items()):
            setattr(self, name, nn.Parameter(np.asarray(rng.normal(0, 10.0 ** (scale - 1), shape))))


class TorchWeights(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, shape in SHAPES.items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))


class Step(NamedTuple):
    """What a training loop hands the optimizer before one step."""

    lr: float
    gradients: Gradients


def schedule() -> list[Step]:
    """A learning rate that falls, gradients large, small and zero, and parameters that at times have none."""
    rng = np.random.default_rng(1)
    steps = []
    for i in range(STEPS):
        size = 1e-4 if i % 5 == 0 else 1.0
        gradients: Gradients = {n: np.asarray(rng.normal(0, size, shape)) for n, shape in SHAPES.items()}
        if i in (3, 4, 17):
            gradients["vector"] = np.zeros(SHAPES["vector"])
        if i % 3 == 2:
            gradients["matrix"] = None
        if i < 6:
            gradients["number"] = None
        steps.append(Step(0.1 * 0.9**i, gradients))
    return steps


class History:
    """One schedule, run by the truth, its disturbed copies, and the two sides that are held against it."""

    def __init__(self, spec: OptimizerSpec, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        weights = Weights().astype(dtype)
        u = comparison_roundoff(dtype)
        self.truth = NumpySide(weights, np.float64, spec)
        self.disturbed = [
            NumpySide(
                weights, np.float64, spec, disturbance=Disturbance({}, set(), u, random_signs(seed, sign))
            )
            for seed in range(PAIRS)
            for sign in (1.0, -1.0)
        ]
        self.torch = TorchSide(TorchWeights(), weights, dtype, "cpu", spec, [])
        self.numpy = NumpySide(weights, dtype, spec)

    def run(self, steps: list[Step]) -> Iterator[Comparison]:
        """Each parameter after each step."""
        for number, step in enumerate(steps, start=1):
            rounded = {
                name: None if grad is None else grad.astype(self.dtype)
                for name, grad in step.gradients.items()
            }
            for side in (self.truth, self.numpy, *self.disturbed):
                numpy_step(side, Step(step.lr, rounded))
            torch_step(self.torch, Step(step.lr, rounded))
            results = {"torch": self.torch.parameters(), "numpy": self.numpy.parameters()}
            for name, expected in self.truth.parameters().items():
                moved = [distance(expected, side.parameters()[name]) for side in self.disturbed]
                bound = max(error.max(initial=0) for error in moved)
                for side_name, result in results.items():
                    where = (f"step {number}", name, side_name)
                    yield compare(where, expected, result[name], bound, self.dtype)


def numpy_step(side: NumpySide, step: Step) -> None:
    for name, parameter in side.module.named_parameters():
        grad = step.gradients[name]
        parameter.grad = None if grad is None else grad.astype(side.dtype)
    side.optimizer.lr = step.lr
    side.update()


def torch_step(side: TorchSide, step: Step) -> None:
    for name, parameter in side.module.named_parameters():
        grad = step.gradients[name]
        parameter.grad = None if grad is None else torch.from_numpy(grad.copy())
    for group in side.optimizer.param_groups:
        group["lr"] = step.lr
    side.update()


def random_signs(seed: int, sign: float) -> Callable[[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda array: sign * rng.choice((-1.0, 1.0), np.shape(array))


SPECS = {
    "SGD": OptimizerSpec("SGD", {}),
    "SGD decay": OptimizerSpec("SGD", {"weight_decay": 0.1}),
    "SGD momentum": OptimizerSpec("SGD", {"momentum": 0.9}),
    "SGD momentum decay": OptimizerSpec("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    "SGD nesterov": OptimizerSpec("SGD", {"momentum": 0.9, "nesterov": True}),
    "SGD nesterov decay": OptimizerSpec("SGD", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    "Adam": OptimizerSpec("Adam", {}),
    "Adam decay": OptimizerSpec("Adam", {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1}),
    "Adam memoryless": OptimizerSpec("Adam", {"betas": (0.0, 0.0)}),
    "AdamW": OptimizerSpec("AdamW", {}),
    "AdamW decay": OptimizerSpec("AdamW", {"weight_decay": 0.5, "eps": 1e-3}),
}
each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@each_spec
def test_parity(spec: OptimizerSpec, dtype: str, agree: Callable[[ParityReport], None]) -> None:
    """Every parameter after every step, through learning rates, zero gradients and missing ones."""
    report = ParityReport(f"{spec.name} {dict(spec.arguments)}", dtype, "cpu")
    report.comparisons.extend(History(spec, dtype).run(schedule()))
    assert len(report.comparisons) == 2 * STEPS * len(SHAPES)
    agree(report)


def test_the_defaults_are_torchs() -> None:
    for name in optim.OPTIMIZERS:
        own, theirs = (inspect.signature(getattr(m, name)).parameters for m in (optim, torch.optim))
        for argument in own.keys() - {"params"}:
            assert own[argument].default == theirs[argument].default, (name, argument)


class Mistake(NamedTuple):
    """In one function of `optim`, `old` becomes `new`; `spec` is an optimizer that uses the term."""

    kind: str
    spec: str
    function: str
    old: str
    new: str


MISTAKES = [
    Mistake("wrong sign", "SGD", "SGD.update", "data -=", "data +="),
    Mistake("missing factor", "SGD", "SGD.update", "self.lr * step", "step"),
    Mistake("wrong sign", "SGD decay", "SGD.update", "grad + self", "grad - self"),
    Mistake("missing term", "SGD decay", "SGD.update", "if self.weight_decay", "if False"),
    Mistake("missing factor", "SGD momentum", "SGD.update", "buffer *= self.momentum", "pass"),
    Mistake("no accumulation", "SGD momentum", "SGD.update", "buffer += step", "buffer[...] = step"),
    Mistake("damped", "SGD momentum", "SGD.update", "+= step", "+= (1 - self.momentum) * step"),
    Mistake("missing term", "SGD nesterov", "SGD.update", "step + self.momentum * buffer", "buffer"),
    Mistake("missing factor", "SGD nesterov", "SGD.update", "step + self.momentum * buffer", "step + buffer"),
    Mistake("missing factor", "Adam", "Adam.moments_step", "(1 - beta1) * grad", "grad.copy()"),
    Mistake("missing factor", "Adam", "Adam.moments_step", "exp_avg *= beta1", "pass"),
    Mistake("no accumulation", "Adam", "Adam.moments_step", "exp_avg += scratch", "exp_avg[...] = scratch"),
    Mistake("missing square", "Adam", "Adam.moments_step", "scratch *= grad", "pass"),
    Mistake("missing factor", "Adam", "Adam.moments_step", "(grad, 1 - beta2,", "(grad, 1,"),
    Mistake("missing factor", "Adam", "Adam.moments_step", "exp_avg_sq *= beta2", "pass"),
    Mistake("missing root", "Adam", "Adam.moments_step", "np.sqrt(", "np.positive("),
    Mistake("missing correction", "Adam", "Adam.moments_step", "math.sqrt(1 - beta2**t)", "1"),
    Mistake("missing root", "Adam", "Adam.moments_step", "math.sqrt(1 - beta2**t)", "(1 - beta2**t)"),
    Mistake("missing correction", "Adam", "Adam.moments_step", "/ (1 - beta1**t)", ""),
    Mistake("off by one", "Adam", "Adam.moments_step", "beta1**t", "beta1**(t + 1)"),
    Mistake("missing term", "Adam", "Adam.moments_step", "scratch += self.eps", "pass"),
    Mistake("corrected", "Adam decay", "Adam.moments_step", "self.eps", "self.eps / (1 - beta2**t)"),
    Mistake("wrong sign", "Adam", "Adam.moments_step", "data -=", "data +="),
    Mistake("missing term", "Adam decay", "Adam.update", "if self.weight_decay", "if False"),
    Mistake("wrong sign", "Adam decay", "Adam.update", "grad + self", "grad - self"),
    Mistake("missing term", "AdamW", "AdamW.update", "data *= 1 - self.lr * self.weight_decay", "pass"),
    Mistake("missing factor", "AdamW", "AdamW.update", "self.lr * self", "self"),
    Mistake("halved", "SGD", "Optimizer.step", "parameter.grad, *", "np.asarray(parameter.grad / 2), *"),
    Mistake("gradient missed", "SGD", "Optimizer.step", "grad is None", "grad is None or i == 0"),
    Mistake("counts steps without gradient", "Adam", "Optimizer.step", "int(self.updates[i])", "self.steps"),
    Mistake("part of a slice", "SGD", "slices", "start : start + SLICE", "start : start + SLICE - 1"),
]  # fmt: skip


def plant(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recompiles the function with the mistake in it."""
    owner, _, name = mistake.function.rpartition(".")
    holder = getattr(optim, owner) if owner else optim
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(getattr(holder, name))))
    assert mistake.old in source, f"{mistake.old!r} is no longer in {mistake.function}"
    namespace = vars(optim).copy()
    code = "from __future__ import annotations\n" + source.replace(mistake.old, mistake.new)
    exec(compile(code, "<planted>", "exec"), namespace)
    monkeypatch.setattr(holder, name, namespace[name])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.spec} {m.kind} ({m.new})")
def test_a_planted_mistake_is_caught(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each term of each update rule, wrong in one way, shows against the rounding even of float32."""
    monkeypatch.setattr(optim, "SLICE", 3)
    plant(mistake, monkeypatch)
    with np.errstate(all="ignore"):
        disagreements = [c for c in History(SPECS[mistake.spec], "float32").run(schedule()[:8]) if not c.ok]
    assert disagreements
    assert {c.side for c in disagreements} >= {"torch"}


@each_spec
def test_a_resumed_run_is_the_uninterrupted_one(spec: OptimizerSpec, dtype: str) -> None:
    """`state_dict` holds all that the next step depends on: bit by bit the same weights after a break."""
    steps = schedule()
    whole = NumpySide(Weights(), dtype, spec)
    for step in steps:
        numpy_step(whole, step)

    first = NumpySide(Weights(), dtype, spec)
    for step in steps[:10]:
        numpy_step(first, step)
    saved_weights, saved_state = copy.deepcopy((first.parameters(), first.optimizer.state_dict()))
    for step in steps[10:]:
        numpy_step(first, step)  # what was saved must not move on with it

    second = NumpySide(Weights(), dtype, spec)
    second.module.load_state_dict(saved_weights)
    second.optimizer.load_state_dict(saved_state)
    assert (second.optimizer.lr, second.optimizer.steps) == (steps[9].lr, 10)
    for step in steps[10:]:
        numpy_step(second, step)
    assert_same_bits(second.parameters(), whole.parameters())
    assert_same_bits(second.optimizer.state_dict(), whole.optimizer.state_dict())


def assert_same_bits(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name, strict=True)


@each_spec
def test_slices_change_nothing(spec: OptimizerSpec, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The update goes through memory piece by piece; where the pieces end must not show, to the last bit."""
    results = []
    for size in (optim.SLICE, 4, 1):
        monkeypatch.setattr(optim, "SLICE", size)
        side = NumpySide(Weights(), dtype, spec)
        for step in schedule():
            numpy_step(side, step)
        results.append(side.parameters())
    for result in results[1:]:
        assert_same_bits(result, results[0])


@each_spec
def test_dtypes_and_gradients_are_kept(spec: OptimizerSpec, dtype: str) -> None:
    """Nothing is upcast; a step does not touch the gradients, and `zero_grad` drops them."""
    side = NumpySide(Weights(), dtype, spec)
    for step in schedule()[:3]:
        numpy_step(side, step)
    for array in (
        *side.parameters().values(),
        *(b for state in side.optimizer.state for b in state.values()),
    ):
        assert array.dtype == dtype
    for name, parameter in side.module.named_parameters():
        grad = schedule()[2].gradients[name]
        if grad is None:
            assert parameter.grad is None
        else:
            np.testing.assert_array_equal(parameter.grad, grad.astype(dtype), strict=True)
    side.optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in side.module.parameters())


def clipped(gradients: Gradients, max_norm: float, dtype: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """The norm before clipping and the gradients after it, from NumPy and from torch."""
    module, twin = Weights().astype(dtype), TorchWeights().to(getattr(torch, dtype))
    for name, grad in gradients.items():
        if grad is not None:
            dict(module.named_parameters())[name].grad = grad.astype(dtype)
            twin.get_parameter(name).grad = torch.from_numpy(grad.astype(dtype))
    norm = optim.clip_grad_norm_(module.parameters(), max_norm)
    yield norm, {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    torch_norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), max_norm).item()
    yield torch_norm, {name: p.grad.numpy() for name, p in twin.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e6, float("inf")])
@pytest.mark.parametrize("step", [0, 1, 3], ids=["small", "no number", "zeros"])
def test_clipping(step: int, max_norm: float, dtype: str) -> None:
    """All gradients are one vector: a sum of n squares and a root for its norm, a few more to scale it."""
    gradients = schedule()[step].gradients
    given = {name: g.astype(dtype).astype(np.float64) for name, g in gradients.items() if g is not None}
    norm = np.sqrt(sum((grad**2).sum() for grad in given.values()))
    scale = min(1.0, max_norm / (norm + 1e-6))
    relative = gamma(sum(grad.size for grad in given.values()) + 8, comparison_roundoff(dtype))
    for side, (found_norm, found) in zip(
        ("numpy", "torch"), clipped(gradients, max_norm, dtype), strict=True
    ):
        assert compare(("", "norm", side), norm, np.array(found_norm), relative * norm, np.dtype(float)).ok
        assert found.keys() == given.keys()
        for name, grad in given.items():
            bound = relative * np.abs(scale * grad)
            comparison = compare(("", name, side), scale * grad, found[name], bound, np.dtype(dtype))
            assert comparison.ok, str(comparison)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20])
@pytest.mark.parametrize("max_norm", [1.0, float("inf")])
def test_clipping_hides_no_nan(bad: float, max_norm: float, dtype: str) -> None:
    """One nan or overflow in a gradient: every gradient becomes what torch makes of it, without a warning.

    1e20 is all of a float64 norm: its square, the root, the scale and a product are what is rounded.
    """
    gradients = schedule()[1].gradients | {"vector": np.array([1.0, bad, 0.0, 2.0])}
    (norm, own), (torch_norm, theirs) = clipped(gradients, max_norm, dtype)
    rounding = float(gamma(8, unit_roundoff(dtype)))
    assert norm == pytest.approx(torch_norm, rel=rounding, nan_ok=True)
    for name, grad in theirs.items():
        np.testing.assert_allclose(own[name], grad, rtol=rounding)


def test_clipping_without_gradients() -> None:
    assert optim.clip_grad_norm_(Weights().parameters(), 1.0) == 0
