"""A torch function of which each operation is off by what rounding can do, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from parity_tests.harness.rounding import OPERATIONS, probable_gamma

if TYPE_CHECKING:
    from parity_tests.harness.off_arrays import Errors

# Operations, by their names in ATen, that round nothing; and that round once, as IEEE 754 has it.
EXACT = frozenset(
    """
    cat stack index index_select index_copy gather scatter take embedding repeat flip roll constant_pad_nd
    select_backward slice_backward select_scatter slice_scatter clone copy _to_copy where masked_fill
    masked_select fill zero empty_like zeros_like ones_like full_like new_empty new_zeros new_ones new_full
    sort topk max min amax amin maximum minimum clamp clamp_min clamp_max max_pool2d_with_indices relu
    threshold_backward neg abs sign sgn floor ceil round trunc _unsafe_view tril triu index_fill
    masked_scatter diagonal_backward unfold_backward
    """.split()  # noqa: SIM905
)
ROUNDED_ONCE = frozenset({"add", "sub", "rsub", "mul", "div", "sqrt", "reciprocal"})


class DisturbedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, whatever torch computes is off, up or down, also in the backward passes that autograd runs.

    What a function makes of its inputs may be no stable evaluation, though each of its steps is. Softmax's
    gradient p ∘ (g - Σ p g) is one, where p is nearly 1 in one place: in the end all depends on how
    Σ p was rounded, which no error of the scores shows. So each operation gives nearly the right answer to
    nearly the right question: what it gives is off, and where it adds up, what goes into it, too.

    """

    def __init__(self, errors: Errors) -> None:
        """`errors` are those of the operations."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.errors = errors

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        schema = func._schema
        name = schema.name.removeprefix("aten::").removesuffix("_")
        named = {a.name: given for a, given in zip(schema.arguments, args, strict=False)} | (kwargs or {})
        sizes = [a.numel() for a in tree_leaves(named) if is_floating_tensor(a)]
        is_view = not schema.is_mutable and any(result.alias_info for result in schema.returns)
        if not sizes or is_view or name in EXACT or not self.errors.active():
            return func(**named)
        written = {a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write}
        if torch.Tag.pointwise not in func.tags:
            relative = probable_gamma(max(sizes), self.errors.u)
            named = {key: a if key in written else self.off(a, relative) for key, a in named.items()}
        result = func(**named)
        relative = self.errors.u if name in ROUNDED_ONCE else OPERATIONS * self.errors.u
        for changed in tree_leaves([named.get(key) for key in written]):
            if is_floating_tensor(changed):
                changed.copy_(self.off(changed, relative))
        if len(schema.returns) == 1:
            return result if schema.returns[0].alias_info else self.off(result, relative)
        results = zip(schema.returns, result, strict=True)
        return tuple(r if returned.alias_info else self.off(r, relative) for returned, r in results)

    def off(self, values: Any, relative: float) -> Any:
        """Floating tensors, each number off relatively to itself."""

        def moved(a: Any) -> Any:
            if not is_floating_tensor(a):
                return a
            return a * (1 + relative * torch.from_numpy(self.errors.signs(a)))

        return tree_map(moved, values)


def is_floating_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
