"""Both sides write the same text, a token at a time, and leave the model as it was."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import generation
from gdl_torch import generation as torch_generation
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.rounding import comparison_roundoff
from parity_tests.support import WRITERS, WRITERS_VOCABULARY, twin_of, writer

SIZE = len(WRITERS_VOCABULARY)
all_models = pytest.mark.parametrize("name", WRITERS)
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])


@pytest.mark.parametrize(
    "how", [{"top_k": 1}, {}, {"temperature": 0.6, "top_k": 5}], ids=["greedy", "sampled", "top 5"]
)
@all_models
def test_both_sides_write_the_same(name: str, how: dict[str, Any], dtype: str, device: str) -> None:
    """Token for token, with one seed. Also in training mode, where dropout would make two of it."""
    model = writer(name, dtype=dtype).train()
    twin = twin_of(model).train().to(device)
    prompt = WRITERS_VOCABULARY.encode("Née à")
    written = list(generation.generate(model, prompt, 200, rng=5, exclude=[0], **how))
    assert written == list(torch_generation.generate(twin, prompt, 200, rng=5, exclude=[0], **how))
    assert len(written) == 200
    assert 0 not in written
    assert len(set(written)) > 1


@all_models
def test_the_stepper_is_forward_one_symbol_at_a_time(name: str, dtype: str) -> None:
    """Held against forward in float64, within what the roundings of forward could do to it."""
    model, exact = writer(name, dtype=dtype).eval(), writer(name, dtype="float64").eval()
    exact.load_state_dict({key: array.astype(np.float64) for key, array in model.state_dict().items()})
    ids = np.random.default_rng(1).integers(0, SIZE, (12, 1))
    twin = twin_of(exact).eval()
    logits, state = twin(torch.from_numpy(ids))
    states = state if isinstance(state, tuple) else (state,)
    no_grads = [np.zeros(tensor.shape) for tensor in (logits, *states)]
    bound = error_bound(twin, [ids], [], no_grads, comparison_roundoff(dtype)).outputs[0]
    expected, _ = exact(ids)
    step, state = model.stepper(), None
    for t, token in enumerate(ids[:, 0].tolist()):
        stepped, state = step(token, state)
        if (at := t + 1 - model.ahead) < len(ids):
            assert stepped.dtype == dtype
            assert (np.abs(stepped - expected[at, 0]) <= bound[at, 0]).all()
    assert bound.max() < 0.01 * np.abs(expected).max()


@all_models
def test_one_text_in_two_parts_is_one_text(name: str) -> None:
    """What was written is read as the prompt is: the state after it is the same."""
    model = writer(name)
    whole = list(generation.generate(model, [3, 1], 40, top_k=1))
    part = whole[:15]
    assert whole[15:] == list(generation.generate(model, [3, 1, *part], 25, top_k=1))


@both_backends
@all_models
def test_the_model_stays_as_it_was(name: str, backend: str) -> None:
    """Parameters, gradients and training mode, that of each part; in mid-text too."""
    own = writer(name)
    model: Any = own if backend == "numpy" else twin_of(own)
    generate: Any = generation.generate if backend == "numpy" else torch_generation.generate
    modules = dict(model.named_modules())
    model.train()
    modules["decoder"].eval()
    before = {key: copy.deepcopy(array) for key, array in model.state_dict().items()}
    onednn = torch.backends.mkldnn.enabled
    for _ in generate(model, [2], 5, rng=0):
        assert [key for key, module in modules.items() if not module.training] == ["decoder"]
        assert not torch.is_inference_mode_enabled()
        assert torch.backends.mkldnn.enabled == onednn
    for key, array in model.state_dict().items():
        assert (array == before[key]).all(), key
    assert all(p.grad is None for p in model.parameters())


def test_a_seed_is_a_text_and_a_symbol_is_one_random_number() -> None:
    model = writer("RNNLanguageModel")
    write = partial(generation.generate, model, [1, 2])
    assert list(write(60, rng=7)) == list(write(60, rng=np.random.default_rng(7)))
    assert list(write(60, rng=7)) != list(write(60, rng=8))
    assert list(write(60, rng=7))[:20] == list(write(20, rng=7))
    assert list(write(60)) != list(write(60))
    for how in ({}, {"top_k": 1}, {"exclude": [0, 5]}):
        rng = np.random.default_rng(7)
        assert len(list(write(25, rng=rng, **how))) == 25
        assert rng.random() == np.random.default_rng(7).random(26)[-1]


def test_symbols_are_computed_as_they_are_asked_for() -> None:
    """A text without end costs nothing until it is read, and the prompt is not read before that either."""
    endless = generation.generate(writer("one layer"), [1], 10**15, rng=0)
    assert all(0 <= next(endless) < SIZE for _ in range(3))


ARGUMENTS = {
    "temperature must be positive and finite, got 0": {"temperature": 0},
    "temperature must be positive and finite, got -1": {"temperature": -1.0},
    "temperature must be positive and finite, got nan": {"temperature": float("nan")},
    "temperature must be positive and finite, got inf": {"temperature": float("inf")},
    "top_k must be at least 1, got 0": {"top_k": 0},
    "length must be at least 0, got -1": {"length": -1},
    "prompt must have at least one token": {"prompt": []},
    "prompt must be integer ids, got float64": {"prompt": [1.0]},
    r"prompt must be ids in \[0, \d+\), got -1": {"prompt": [3, -1]},
    rf"prompt must be ids in \[0, {SIZE}\), got {SIZE}": {"prompt": [SIZE]},
    rf"exclude must be ids in \[0, {SIZE}\), got {SIZE}": {"exclude": [0, SIZE]},
    f"exclude leaves none of the {SIZE} tokens": {"exclude": [*range(SIZE)]},
}


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(("message", "arguments"), ARGUMENTS.items(), ids=ARGUMENTS)
@both_backends
def test_bad_arguments_are_refused_at_the_call(backend: str, message: str, arguments: dict[str, Any]) -> None:
    """Not only when the first token is asked for."""
    model = writer("TransitionMatrixLM")
    arguments = {"prompt": [1], "length": 3, **arguments}
    write: Any = partial(generation.generate, model)
    if backend == "torch":
        write = partial(torch_generation.generate, twin_of(model))
    with pytest.raises((ValueError, IndexError), match=message):
        write(**arguments)
