"""Every layer and loss of the registry: the same function on both sides, for random shapes and data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gdl_numpy.tasks import as_arguments
from parity_tests.harness import ParityReport, check
from parity_tests.harness.central import central_differences
from parity_tests.harness.evaluate import Arrays, as_dtype, flatten, is_floating, run_numpy, unflatten
from parity_tests.harness.layer_cases import LAYERS, LayerCase

Agree = Callable[[ParityReport], None]
each_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


@each_layer
def test_parity(case: LayerCase, dtype: str, device: str, agree: Agree) -> None:
    """Output, gradients of inputs and parameters, and two training steps, within the computed bounds."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        example = case.example(data.draw)
        agree(check(*example, dtype=dtype, device=device, name=case.name))

    run()


@pytest.mark.long
@each_layer
def test_no_false_alarm_in_a_thousand_configurations(
    case: LayerCase, dtype: str, device: str, agree: Agree
) -> None:
    """The bounds hold wherever they are asked: a right layer is never called wrong."""
    test_parity(case, dtype, device, agree)


@each_layer
def test_central_differences(case: LayerCase) -> None:
    """A second oracle that is not torch: the gradient is the slope of the function itself."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        layer, _, inputs, targets = case.example(data.draw)
        assume(getattr(layer, "padding_idx", None) is None)  # no gradient there is a convention, not a slope
        rng = np.random.default_rng(0)
        leaves = [  # off the kinks
            x + 0.01 * rng.standard_normal(x.shape) if is_floating(x) else x for x in flatten(inputs)
        ]
        if case.name == "BCELoss":
            leaves = [np.clip(leaves[0], 0.05, 0.95)]
        inputs = unflatten(inputs, iter(leaves))
        cancelled = 0.0
        if case.name.endswith("Loss"):  # a difference of numbers such as the inputs, and of cosines
            sizes = [np.abs(x).max(initial=1) for x in leaves if is_floating(x)]
            cancelled = float(max(sizes)) / getattr(layer, "temperature", 1.0)
        for comparison in central_differences(layer, inputs, targets, cancelled=cancelled):
            assert comparison.ok, str(comparison)

    run()


@each_layer
def test_inputs_are_not_modified(case: LayerCase, dtype: str) -> None:
    """Neither forward nor backward writes into what it was given."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        example = case.example(data.draw)
        layer = example.numpy_module.astype(dtype)
        inputs, targets = (as_dtype(as_arguments(part), dtype) for part in (example.inputs, example.targets))
        for array in flatten((inputs, targets)):
            array.flags.writeable = False
        rng = np.random.default_rng(0)

        def frozen(outputs: Arrays) -> Arrays:
            grads = [np.asarray(rng.standard_normal(y.shape)).astype(dtype) for y in outputs]
            for grad in grads:
                grad.flags.writeable = False
            return grads

        run_numpy(layer, inputs, targets, frozen)

    run()
