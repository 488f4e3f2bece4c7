"""What a comparison found: one line for each tensor, and the first place where the two sides part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOOSE = 1e-3  # of a tensor's largest value: a wider bound says little


@dataclass(frozen=True)
class Comparison:
    """One tensor of one side, held against the truth.

    Attributes:
        layer: dotted name of the layer, "" for the module itself, "loss", or "step 3" for that step's loss
            and the parameters after it.
        tensor: "output", "grad_input", "grad weight", …
        side: "numpy" or "torch".
        index, expected, actual, error, bound: of the worst element, whose error is largest for its bound.
        scale: the largest value that is expected of any element.
        run: which run of the layer or model this is about, where it is not the plain one: "in eval mode".
        fault: what is wrong where it is not a matter of size (a shape, a dtype, a missing gradient), else "".
    """

    layer: str
    tensor: str
    side: str
    index: tuple[int, ...] = ()
    expected: float = 0.0
    actual: float = 0.0
    error: float = 0.0
    bound: float = 0.0
    fault: str = ""
    scale: float = 0.0
    run: str = ""

    @property
    def ratio(self) -> float:
        """Error over bound: up to 1 is what rounding explains."""
        if self.fault or not np.isfinite(self.error):
            return np.inf
        return 0.0 if self.error == 0 else self.error / self.bound if self.bound else np.inf

    @property
    def ok(self) -> bool:
        return self.ratio <= 1

    @property
    def is_loose(self) -> bool:
        """Whether the bound is too wide to say much: wider than a thousandth of the largest value."""
        return self.bound > LOOSE * self.scale > 0

    def __str__(self) -> str:
        where = f"{self.layer or 'module'}: {self.side} {self.tensor} {self.run}".rstrip()
        if self.fault:
            return f"{where}: {self.fault}"
        return (
            f"{where}{list(self.index) or ''} is {self.actual:.9g}, expected {self.expected:.9g}: "
            f"error {self.error:.2g}, bound {self.bound:.2g}"
        )


@dataclass
class ParityReport:
    """All comparisons of one check, in the order of computation: forward, backward, training steps.

    Attributes:
        name, dtype, device: what was checked.
        comparisons: all of them.
        first_nan: where the first nan appears, if any does.
        restarts: training steps after which all sides went on from the same weights again, since rounding
            may have moved them far.
        overflow: the step in which the training left the range of the dtype, the last one compared; else 0.
        remarks: what was not compared, in words.
    """

    name: str
    dtype: str
    device: str
    comparisons: list[Comparison] = field(default_factory=list)
    first_nan: str = ""
    restarts: list[int] = field(default_factory=list)
    overflow: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(c.ok for c in self.comparisons)

    @property
    def first_disagreement(self) -> Comparison | None:
        return next((c for c in self.comparisons if not c.ok), None)

    def worst(self, prefix: str = "", tensors: Iterable[str] | None = None) -> Comparison | None:
        """The comparison with the largest ratio, of layers that start with `prefix`, of named tensors.

        Of plain runs: in others are other numbers, some in another dtype.
        """
        chosen = [
            c
            for c in self.comparisons
            if not c.run
            and c.layer.startswith(prefix)
            and (tensors is None or c.tensor.split()[0] in tensors)
        ]
        return max(chosen, key=lambda c: c.ratio, default=None)

    @property
    def loose(self) -> list[Comparison]:
        """Those that agree within a bound too wide to say much, the widest for its values first."""
        return sorted((c for c in self.comparisons if c.is_loose), key=lambda c: c.scale / c.bound)

    def __str__(self) -> str:
        where = f"{self.name} ({self.dtype}, {self.device})"
        more = f"; nan first appears in {self.first_nan}" if self.first_nan else ""
        more += "".join(f"; {remark}" for remark in self.remarks)
        if self.restarts:
            first, others = ", ".join(map(str, self.restarts[:3])), len(self.restarts) - 3
            steps = f"{first} and {others} more" if others > 0 else first
            more += "; rounding may have moved the weights far, "
            more += f"and all sides went on from the same ones again, after step {steps}"
        if self.overflow:
            more += (
                f"; in step {self.overflow} the training leaves the range of {self.dtype}: inf and nan that "
            )
            more += "come of it are no difference, and no later step is compared"
        if self.loose:
            widest = self.loose[0]
            more += (
                f"; of {counted(len(self.loose), 'tensor')} the bound is more than {LOOSE:g} of the values, "
                f"most of {widest.layer or 'module'}: {widest.tensor}"
            )
        if self.first_disagreement is None:
            return f"{where}: {len(self.comparisons)} tensors agree{more}"
        failed = sum(not c.ok for c in self.comparisons)
        count = f"{failed} of {len(self.comparisons)} tensors disagree"
        return f"{where}: {count}, first {self.first_disagreement}{more}"

    def raise_if_different(self) -> None:
        """Raises AssertionError with the first disagreement."""
        if not self.ok:
            raise AssertionError(str(self))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "device": self.device,
            "ok": self.ok,
            "first_nan": self.first_nan,
            "restarts": self.restarts,
            "overflow": self.overflow,
            "remarks": self.remarks,
            "comparisons": [{**asdict(c), "ratio": c.ratio, "ok": c.ok} for c in self.comparisons],
        }


def distance(expected: np.ndarray, actual: np.ndarray, largest: float = np.inf) -> np.ndarray:
    """|actual - expected|; 0 where both are nan, the same inf, or inf for a truth beyond the `largest`."""
    expected, actual = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    same |= (np.abs(expected) > largest) & (actual == np.copysign(np.inf, expected))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(actual - expected)
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error))


def compare(
    where: tuple[str, str, str],
    expected: np.ndarray,
    actual: np.ndarray | None,
    bound: np.ndarray | float,
    dtype: np.dtype,
) -> Comparison:
    """Shape first, then dtype, then values.

    Args:
        where: layer, tensor and side.
        expected: the truth, float64.
        actual: what a side gave; None if it gave nothing.
        bound: how far each element may be off; broadcasts to the shape of `expected`.
        dtype: what `actual` should have (a single number, such as a loss, may be a Python float).
    """
    if actual is None:
        return Comparison(*where, fault=f"there is none, expected shape {expected.shape}")
    if actual.shape != expected.shape:
        return Comparison(*where, fault=f"has shape {actual.shape}, expected {expected.shape}")
    wanted = dtype if np.issubdtype(expected.dtype, np.floating) else expected.dtype
    if actual.ndim and actual.dtype != wanted:
        return Comparison(*where, fault=f"has dtype {actual.dtype}, expected {wanted}")
    if not actual.size:
        return Comparison(*where)
    error = distance(expected, actual, float(np.finfo(dtype).max))
    bound = np.broadcast_to(bound, expected.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0, error / bound)
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio))), expected.shape)
    index = tuple(int(i) for i in worst)
    finite = np.abs(expected[np.isfinite(expected)])
    return Comparison(
        *where,
        index,
        float(expected[index]),
        float(actual[index]),
        float(error[index]),
        float(bound[index]),
        scale=float(finite.max(initial=0)),
    )


def compare_lists(
    where: tuple[str, str, str],
    expected: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    bounds: Sequence[np.ndarray],
    dtype: np.dtype,
) -> Iterator[Comparison]:
    """`compare` for tensors that may be several: output 0, output 1, and so on."""
    layer, tensor, side = where
    kind, _, rest = tensor.partition(" ")
    for i, (truth, bound) in enumerate(zip(expected, bounds, strict=True)):
        numbered = tensor if len(expected) == 1 else f"{kind} {i} {rest}".rstrip()
        yield compare((layer, numbered, side), truth, actual[i] if i < len(actual) else None, bound, dtype)


def strict_json(value: Any) -> Any:
    """The same with "nan" and "inf" as text, since JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
