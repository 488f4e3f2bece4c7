"""`judge`: is what a module calls its gradient the gradient of its loss, and if not, how far is it off?"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdl_numpy.nn import Module
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.check import check
from parity_tests.harness.evaluate import run_numpy
from parity_tests.harness.evaluate_torch import run_torch, twin
from parity_tests.harness.report import ParityReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float64

    from gdl_numpy.replays import Listing
    from gdl_torch.replays import Listing as TorchListing


@dataclass(frozen=True)
class Deviation:
    """How the printed gradient of one parameter lies to the true one.

    Attributes:
        angle: between the two, in degrees: 0 is right but for size, above 90 climbs.
        ratio: length of the printed over that of the true one.
    """

    angle: float
    ratio: float

    def __str__(self) -> str:
        return f"off by {self.angle:.1f}°, {self.ratio:.3g} times as long"


@dataclass(frozen=True)
class Verdict:
    """What `judge` found.

    Attributes:
        report: of `check`; it names the tensors that differ, and by how much more than rounding explains.
        deviations: of each parameter, by its state_dict key.
    """

    report: ParityReport
    deviations: dict[str, Deviation]

    @property
    def wrong(self) -> list[str]:
        """The parameters whose printed gradient is not the true one."""
        gradients = {f"grad {name}": name for name in self.deviations}
        failed = {c.tensor for c in self.report.comparisons if not c.ok and not c.layer.startswith("step")}
        return [name for tensor, name in gradients.items() if tensor in failed]

    def __str__(self) -> str:
        if self.report.ok:
            return f"{self.report.name}: the printed rule is the gradient of its loss"
        found = "; ".join(f"{name} {self.deviations[name]}" for name in self.wrong)
        return f"{self.report.name}: not the gradient of its loss: {found}"


def judge_terms(
    listing: Listing, torch_listing: TorchListing, arguments: Any
) -> Iterator[tuple[str, Verdict]]:
    """`judge` of a printed rule as it is, with each of its terms alone put right, and with all of them."""
    listing = copy.deepcopy(listing)
    for term in ("", *listing.terms, "all"):
        listing.corrected = frozenset(listing.terms if term == "all" else {term} - {""})
        said = f"with {term} put right" if term else "as printed"
        yield term, judge(listing, torch_listing, arguments, name=f"{type(listing).__name__} {said}")


def judge(
    numpy_module: Module, torch_module: nn.Module, arguments: Any, *, name: str | None = None
) -> Verdict:
    """Holds a backward pass as printed against autograd, on the same weights and data, in float64.

    Args:
        numpy_module: one layer that gives a loss, as one number, and whose `backward` is to be judged.
        torch_module: gives the same loss; autograd differentiates it. The same parameters.
        arguments: what both are called with, masks and labels too. None of it gets a gradient.
        name: what to call it in the report.

    Raises:
        ValueError: the modules do not have the same parameters.
    """
    arguments = as_arguments(arguments)
    report = check(numpy_module, torch_module, (), arguments, dtype=np.float64, steps=1, name=name)
    return Verdict(report, deviations(numpy_module, torch_module, arguments))


def deviations(numpy_module: Module, torch_module: nn.Module, arguments: Any) -> dict[str, Deviation]:
    """How far off each parameter's gradient is: `judge` without its report, whose bounds take the time."""
    arguments = as_arguments(arguments)
    reference = twin(torch_module, numpy_module, np.float64, "cpu")
    printed = run_numpy(numpy_module, (), arguments, lambda _: [np.ones(())]).grad_params
    true = run_torch(reference, (), arguments, lambda _: [np.ones(())]).grad_params
    numpy_module.zero_grad()
    return {key: deviation(printed[key], true[key]) for key in true}


def deviation(printed: Float64[np.ndarray, "*shape"], true: Float64[np.ndarray, "*shape"]) -> Deviation:
    """Angle and ratio of two gradients; nan where one of them is zero.

    The angle is 2 atan2(‖a − b‖, ‖a + b‖) of the unit vectors (Kahan, *How Futile are Mindless Assessments of
    Roundoff*, 2006, §12): accurate near 0° and 180° too, where the arc cosine loses half of the digits.
    """
    lengths = float(np.linalg.norm(printed)), float(np.linalg.norm(true))
    if not all(lengths):
        return Deviation(np.nan, np.nan)
    a, b = printed / lengths[0], true / lengths[1]
    angle = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    return Deviation(float(np.degrees(angle)), lengths[0] / lengths[1])
