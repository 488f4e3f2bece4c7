"""Torch operations that are off by what rounding can do, forward and backward; see `disturbed_numpy`, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from parity_tests.harness.rounding import OPERATIONS, probable_gamma

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from parity_tests.harness.disturbed_numpy import Errors

# Operations, by their names in ATen, that round nothing; that round once, as IEEE 754 has it; and that are
# off by no more than functions of single numbers are, since they take out the largest number first.
EXACT = frozenset(
    """
    cat stack index index_select index_copy gather scatter take embedding repeat flip roll constant_pad_nd
    select_backward slice_backward select_scatter slice_scatter clone copy _to_copy where masked_fill
    masked_select masked_scatter fill index_fill zero empty_like zeros_like ones_like full_like new_empty
    new_zeros new_ones new_full sort topk kthvalue median max min amax amin argmax argmin cummax cummin
    searchsorted bucketize maximum minimum clamp clamp_min clamp_max max_pool2d_with_indices
    max_pool3d_with_indices adaptive_max_pool2d relu threshold_backward neg abs sign sgn floor ceil round
    trunc _unsafe_view tril triu diagonal_backward unfold_backward reflection_pad1d reflection_pad2d
    replication_pad1d replication_pad2d pixel_shuffle pixel_unshuffle im2col upsample_nearest1d
    upsample_nearest2d
    """.split()  # noqa: SIM905
)
ROUNDED_ONCE = frozenset({"add", "sub", "rsub", "mul", "div", "sqrt", "reciprocal"})
SOFTMAX = frozenset({"_softmax", "_log_softmax", "_safe_softmax", "logsumexp"})


class DisturbedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, whatever torch computes is off, up or down, also in the backward passes that autograd runs.

    What a function makes of its inputs may be no stable evaluation, though each of its steps is. Softmax's
    gradient p ∘ (g - Σ p g) is one, where p is nearly 1 in one place: in the end all depends on how
    Σ p was rounded, which no error of the scores shows. So each operation gives nearly the right answer to
    nearly the right question: what it gives is off, and where it adds up, what goes into it, too.
    (Whatever is none of the operations named above, nor one on single numbers, is taken to add up.)
    """

    supports_higher_order_operators = True  # such as torch.cond, whose branches' operations come one by one

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Torch.cond compiles its branches, as it does where nothing is disturbed."""
        return True

    def __init__(self, errors: Errors) -> None:
        """`errors` are those of the operations."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.errors = errors

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, OpOverload) or not self.errors.active():
            return func(*args, **kwargs)
        schema = func._schema
        name = schema.name.removeprefix("aten::").removesuffix("_")
        named = {a.name: given for a, given in zip(schema.arguments, args, strict=False)} | kwargs
        given = [a for a in tree_leaves(named) if is_real(a)]
        is_view = not schema.is_mutable and any(result.alias_info for result in schema.returns)
        if not given or is_view or name in EXACT:
            return func(**named)
        written = {a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write}
        was_exact = self.are_exact(given)
        most = smaller_of(named) if name in ("add", "sub", "rsub") else None
        if not was_exact and torch.Tag.pointwise not in func.tags and name not in SOFTMAX:
            relative = probable_gamma(max(a.numel() for a in given), self.errors.u)
            named = {key: a if key in written else self.off(a, relative) for key, a in named.items()}
        result = func(**named)
        changed = [a for a in tree_leaves([named.get(key) for key in written]) if is_real(a)]
        if was_exact and self.are_exact([*changed, *tree_leaves(result)]):
            return result
        relative = self.errors.u if name in ROUNDED_ONCE else OPERATIONS * self.errors.u
        for tensor in changed:
            tensor.copy_(self.off(tensor, relative, most))
        if len(schema.returns) == 1:
            return result if schema.returns[0].alias_info else self.off(result, relative, most)
        results = zip(schema.returns, result, strict=True)
        return tuple(r if returned.alias_info else self.off(r, relative) for returned, r in results)

    def off(self, values: Any, relative: float, most: torch.Tensor | None = None) -> Any:
        """Real tensors, each number off relatively to itself, by `most` at most; none infinite by that."""

        def moved(a: Any) -> Any:
            if not is_real(a):
                return a
            b = relative * a if most is None else torch.minimum(relative * a.abs(), most.to(a.dtype))
            b.mul_(torch.from_numpy(self.errors.signs(a))).add_(a)
            # One pass; what is large is looked at one by one.
            return b if b.sum().isfinite() else torch.where(b.isfinite(), b, a)

        return tree_map(moved, values)

    def are_exact(self, values: Iterable[Any]) -> bool:
        """Whether all are whole numbers so small that sums and products of them are rounded nowhere."""
        return all(
            bool(((a.round() == a) & (a.abs() < 1 / self.errors.u)).all()) for a in values if is_real(a)
        )


def smaller_of(named: Mapping[str, Any]) -> torch.Tensor:
    """The smaller size of two numbers that are added. The sum is off by no more: it may be lost in it."""
    one, other = torch.as_tensor(named["self"]), torch.as_tensor(named["other"])
    return torch.minimum(one.abs().double(), (named.get("alpha", 1) * other).abs().double())


def is_real(value: Any) -> bool:
    """Whether it is a dense tensor of floating numbers, and none that stands for another, as in a trace."""
    is_plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    return is_plain and value.is_floating_point() and value.layout == torch.strided
