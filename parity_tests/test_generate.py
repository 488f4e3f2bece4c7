"""Both sides write the same text, chance is what the sampler says it is, and the script streams."""

from __future__ import annotations

import copy
import os
import runpy
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import generation
from gdl_numpy.checkpoint import describe_model, save_checkpoint, save_model
from gdl_numpy.data import UNKNOWN, Vocabulary
from gdl_numpy.generation import Sampler
from gdl_numpy.models import CNN, MLP, LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from gdl_torch import generation as torch_generation
from gdl_torch.export import export_checkpoint, from_numpy
from gdl_torch.models import LanguageModel as TorchLanguageModel
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.rounding import comparison_roundoff
from parity_tests.test_imports import BLOCKER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdl_numpy.models import LanguageModel

SCRIPT = Path(__file__).parent.parent / "scripts" / "generate.py"
script = runpy.run_path(str(SCRIPT))

TEXT = "Née à l'aube,\n☃ 字字 𝄞 e\u0301 — 'twas said.\n"
VOCABULARY = Vocabulary.build(TEXT)
SIZE = len(VOCABULARY)
UNLIKELY = 1e-6  # how often a test of a distribution may fail without a cause

MODELS: dict[str, Callable[..., Any]] = {
    "TransitionMatrixLM": partial(TransitionMatrixLM, embedding_dim=6),
    "RNNLanguageModel": partial(RNNLanguageModel, embedding_dim=9, hidden_size=16, num_layers=2, dropout=0.5),
    "relu": partial(RNNLanguageModel, embedding_dim=9, hidden_size=16, nonlinearity="relu"),
    "LSTMLanguageModel": partial(
        LSTMLanguageModel, embedding_dim=9, hidden_size=16, num_layers=2, dropout=0.5
    ),
    "one layer": partial(LSTMLanguageModel, embedding_dim=9, hidden_size=16),
}
all_models = pytest.mark.parametrize("name", MODELS)
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])


def build(name: str, vocab_size: int = SIZE, dtype: str = "float32") -> Any:
    """A model with opinions: its first weights are all but indifferent to what comes next."""
    model = MODELS[name](vocab_size=vocab_size, rng=3, dtype=dtype)
    model.decoder.weight.data[...] *= 100 if name == "TransitionMatrixLM" else 10
    return model


def twin_of(model: Any) -> Any:
    twin = from_numpy(model)
    assert isinstance(twin, TorchLanguageModel)
    twin.vocabulary = VOCABULARY
    return twin


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """As the textbook has it."""
    powers = np.exp(logits.astype(np.float64) / temperature)
    result: np.ndarray = powers / powers.sum()
    return result


# --- the sampler -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_symbols_are_drawn_as_often_as_softmax_says(temperature: float) -> None:
    """And the frequencies tell: those of one temperature are not those of another."""
    logits = np.array([0.3, -1.0, 2.0, 0.3, 1.1, -0.5], np.float32)
    rng, sampler, draws = np.random.default_rng(0), Sampler(temperature), 10_000
    counts = np.bincount([sampler(logits, rng) for _ in range(draws)], minlength=len(logits))
    # Hoeffding: a frequency is off by more than t with a probability of at most 2 exp(-2 n t²).
    bound = np.sqrt(np.log(2 * len(logits) / UNLIKELY) / (2 * draws))
    assert np.abs(counts / draws - softmax(logits, temperature)).max() < bound
    assert np.abs(counts / draws - softmax(logits, 1.5 * temperature)).max() > bound


@given(
    logits=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    top_k=st.integers(1, 15),
    temperature=st.sampled_from([0.3, 1.0, 4.0]),
    excluded=st.sets(st.integers(0, 11)),
)
def test_top_k_is_softmax_over_the_k_likeliest(
    logits: list[int], top_k: int, temperature: float, excluded: set[int]
) -> None:
    """Of equally likely tokens those with the lowest ids; excluded ones do not count."""
    exclude = tuple(sorted(i for i in excluded if i < len(logits)))[: len(logits) - 1]
    allowed = [i for i in range(len(logits)) if i not in exclude]
    kept = sorted(allowed, key=lambda i: (-logits[i], i))[:top_k]
    expected = np.zeros(len(logits))
    expected[kept] = softmax(np.array(logits)[kept], temperature)
    given_logits = np.array(logits, np.float64)
    probabilities = Sampler(temperature, top_k, exclude).probabilities(given_logits)
    np.testing.assert_array_equal(probabilities > 0, expected > 0)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-13)
    np.testing.assert_array_equal(given_logits, logits)  # the caller's own


@given(seed=st.integers(0, 2**32), top_k=st.integers(1, 4))
def test_nothing_outside_the_top_k_is_ever_drawn(seed: int, top_k: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=20).astype(np.float32)
    drawn = {Sampler(3.0, top_k, exclude=(7,))(logits, rng) for _ in range(50)}
    likeliest = np.argsort(-np.where(np.arange(20) == 7, -np.inf, logits))[:top_k]
    assert drawn <= set(likeliest.tolist())


@given(seed=st.integers(0, 2**32))
def test_greedy_takes_the_first_of_the_likeliest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, 4, 30).astype(np.float32)
    assert Sampler(top_k=1)(logits, rng) == logits.argmax()


@pytest.mark.parametrize("number", [0.0, np.nextafter(1, 0)])
def test_chance_at_its_ends_draws_what_can_be_drawn(number: float) -> None:
    """A number of exactly 0 is rare, but must not draw an excluded token with no share at all."""

    class Rigged(np.random.Generator):
        def random(self, *args: Any, **kwargs: Any) -> Any:
            return number

    drawn = Sampler(exclude=(0, 1, 4))(np.array([9.0, 1.0, 1.0, 2.0, 9.0]), Rigged(np.random.PCG64()))
    assert drawn == (2 if number == 0 else 3)


@pytest.mark.parametrize("temperature", [1e-6, 5e-324])
def test_cold_is_greedy(temperature: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        logits = rng.normal(size=40).astype(np.float32)
        assert Sampler(temperature)(logits, rng) == logits.argmax()


@pytest.mark.parametrize("temperature", [1e6, 1e300])
def test_hot_is_indifferent(temperature: float) -> None:
    """A logit more or less in a million: every probability is within that of all the others."""
    logits = np.linspace(-1, 1, 25)
    expected = np.full(25, 1 / 25)
    np.testing.assert_allclose(Sampler(temperature).probabilities(logits), expected, rtol=2e-6)


def test_logits_too_large_for_exp_are_no_trouble() -> None:
    probabilities = Sampler().probabilities(np.array([3e38, 3e38, -3e38], np.float32))
    np.testing.assert_array_equal(probabilities, [0.5, 0.5, 0])


@pytest.mark.parametrize("logits", [[0, np.nan, 1], [np.inf, 0, 0]])
def test_logits_of_a_model_that_diverged_are_refused(logits: list[float]) -> None:
    with pytest.raises(ValueError, match=r"the largest logit is (nan|inf): .* train it again"):
        Sampler(top_k=2)(np.array(logits, np.float32), np.random.default_rng(0))


# --- both sides --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [{"top_k": 1}, {}, {"temperature": 0.6, "top_k": 5}], ids=["greedy", "sampled", "top 5"]
)
@all_models
def test_both_sides_write_the_same(name: str, how: dict[str, Any], dtype: str, device: str) -> None:
    """Token for token, with one seed. Also in training mode, where dropout would make two of it."""
    model = build(name, dtype=dtype).train()
    twin = twin_of(model).train().to(device)
    prompt = VOCABULARY.encode("Née à")
    written = list(generation.generate(model, prompt, 200, rng=5, exclude=[0], **how))
    assert written == list(torch_generation.generate(twin, prompt, 200, rng=5, exclude=[0], **how))
    assert len(written) == 200
    assert 0 not in written
    assert len(set(written)) > 1


@all_models
def test_the_stepper_is_forward_one_symbol_at_a_time(name: str, dtype: str) -> None:
    """Held against forward in float64, within what the roundings of forward could do to it."""
    model, exact = build(name, dtype=dtype).eval(), build(name, dtype="float64").eval()
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
    model = build(name)
    whole = list(generation.generate(model, [3, 1], 40, top_k=1))
    part = whole[:15]
    assert whole[15:] == list(generation.generate(model, [3, 1, *part], 25, top_k=1))


@both_backends
@all_models
def test_the_model_stays_as_it_was(name: str, backend: str) -> None:
    """Parameters, gradients and training mode, that of each part; in mid-text too."""
    own = build(name)
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
    model = build("RNNLanguageModel")
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
    endless = generation.generate(build("one layer"), [1], 10**15, rng=0)
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
    model = build("TransitionMatrixLM")
    arguments = {"prompt": [1], "length": 3, **arguments}
    write: Any = partial(generation.generate, model)
    if backend == "torch":
        write = partial(torch_generation.generate, twin_of(model))
    with pytest.raises((ValueError, IndexError), match=message):
        write(**arguments)


# --- the script --------------------------------------------------------------------------------------------


def run(*words: str | Path | float) -> int:
    """Runs the script within this process; returns its exit code."""
    code: int = script["main"]([str(word) for word in words])
    return code


def save_ckpt(path: Path, model: Any) -> None:
    """A checkpoint with what of Lightning's counts here."""
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def expected_text(model: LanguageModel, prompt: str, length: int, **how: Any) -> str:
    ids = generation.generate(model, VOCABULARY.encode(prompt), length, exclude=[0], **how)
    return f"{prompt}{VOCABULARY.decode(list(ids))}\n"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, build("LSTMLanguageModel"), VOCABULARY)
    return path


@all_models
def test_every_kind_of_checkpoint_gives_the_same_text(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model's file, a training checkpoint, Lightning's and its export; many-byte characters all through."""
    model = build(name)
    training = {f"model.{key}": array for key, array in model.state_dict().items()}
    save_model(tmp_path / "model.safetensors", model, VOCABULARY)
    save_checkpoint(tmp_path / "checkpoint.safetensors", training, describe_model(model, VOCABULARY))
    save_ckpt(tmp_path / "last.ckpt", twin_of(model))
    export_checkpoint(tmp_path / "last.ckpt", tmp_path / "exported.safetensors")
    flags: list[str | float] = [
        "--prompt",
        "字 e\u0301☃",
        "--length",
        60,
        "--temperature",
        0.9,
        "--top-k",
        12,
        "--seed",
        4,
    ]
    expected = expected_text(model, "字 e\u0301☃", 60, temperature=0.9, top_k=12, rng=4)
    files = ["model.safetensors", "checkpoint.safetensors", "exported.safetensors", "last.ckpt"]
    runs = [(file, "numpy") for file in files[:-1]] + [(file, "torch") for file in files]
    for file, backend in runs:
        assert run(tmp_path / file, *flags, "--backend", backend, "--device", "cpu") == 0
        assert capsys.readouterr() == (expected, ""), (file, backend)


@both_backends
def test_symbols_that_are_not_known_are_said_once(
    backend: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are read as the unknown token, shown as they were given, and never written."""
    assert run(checkpoint, "--prompt", "N€Xe€X", "--length", 300, "--seed", 0, "--backend", backend) == 0
    out, err = capsys.readouterr()
    assert err == "generate.py: the model does not know '€', 'X': read as its unknown token\n"
    assert out == expected_text(build("LSTMLanguageModel"), "N€Xe€X", 300, rng=0)
    assert UNKNOWN not in out


def test_many_unknown_symbols_make_no_long_line(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint, "--prompt", "0123456789QXYZ", "--length", 0) == 0
    out, err = capsys.readouterr()
    assert out == "0123456789QXYZ\n"
    assert "'8', '9' and 4 more: read" in err


@pytest.mark.parametrize(
    ("text", "kind", "prompt"),
    [
        ("b\na", "characters", "\n"),
        ("to be\nor", "words", "\n"),
        ("-1 be", "characters", "b"),
        ("where is mary? \tbathroom\t1", "spaces", "is"),
        ("12", "characters", "1"),
    ],
)
def test_without_a_prompt_it_begins_with_what_the_model_knows(
    text: str, kind: Any, prompt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = Vocabulary.build(text, kind)
    save_model(tmp_path / "m.safetensors", TransitionMatrixLM(len(vocabulary), rng=0), vocabulary)
    assert run(tmp_path / "m.safetensors", "--length", 0) == 0
    assert capsys.readouterr() == (f"{prompt}\n", "")


@both_backends
def test_words_between_spaces_are_written_with_spaces(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = Vocabulary.build("mary moved to the office.", "spaces")
    path = tmp_path / "m.safetensors"
    save_model(path, TransitionMatrixLM(len(vocabulary), rng=0), vocabulary)
    assert run(path, "--prompt", "mary moved", "--length", 7, "--seed", 1, "--backend", backend) == 0
    words = capsys.readouterr().out.removesuffix("\n").split(" ")
    assert words[:2] == ["mary", "moved"]
    assert len(words) == 9
    assert set(words) <= set(vocabulary.tokens[1:])


def test_symbols_beyond_the_vocabulary_are_never_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model may have been built for more of them; no one knows what they would mean."""
    save_model(tmp_path / "m.safetensors", build("one layer", vocab_size=3 * SIZE), VOCABULARY)
    assert run(tmp_path / "m.safetensors", "--prompt", "a", "--length", 200, "--temperature", 1e6) == 0
    out = capsys.readouterr().out
    assert len(out) == 202
    assert set(out) <= set(VOCABULARY.tokens[1:])


def test_stats_are_there_only_if_asked_for(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint, "--length", 20, "--stats") == 0
    out, err = capsys.readouterr()
    assert len(out) == 22
    assert err.startswith("20 characters in ")
    assert err.endswith(" characters a second (numpy)\n")


REFUSALS = {
    "{lm} --temperature 0": "temperature must be positive and finite, got 0.0",
    "{lm} --temperature -1": "temperature must be positive and finite, got -1.0",
    "{lm} --temperature nan": "temperature must be positive and finite, got nan",
    "{lm} --temperature inf": "temperature must be positive and finite, got inf",
    "{lm} --temperature warm": "--temperature",
    "{lm} --top-k 0": "--top-k",
    "{lm} --length -1": "--length",
    "{lm} --length many": "--length",
    "{lm} --seed -1": "--seed",
    "{lm} --prompt=": "--prompt is empty: give at least one token",
    "{lm} --backend jax": "--backend",
    "{lm} --device cuda": "--device cuda is for --backend torch",
    "{lm} --size 3": "No such option",
    "": "Missing argument",
    "{dir}/no.safetensors": "there is no checkpoint {dir}/no.safetensors",
    "{dir}/no.safetensors --backend torch": "there is no checkpoint {dir}/no.safetensors",
    "{dir}/no.ckpt": "there is no checkpoint {dir}/no.ckpt",
    "{dir}/no.ckpt --backend torch": "there is no checkpoint {dir}/no.ckpt",
    "{dir}/cut.safetensors": "{dir}/cut.safetensors is truncated or was changed",
    "{dir}/cut.safetensors --backend torch": "{dir}/cut.safetensors is truncated or was changed",
    "{dir}/cut.ckpt --backend torch": "{dir}/cut.ckpt is truncated",
    "{dir}": "{dir}",
    "{dir}/mlp.safetensors": "writes no text, MLP: give the checkpoint of a language model",
    "{dir}/cnn.safetensors --backend torch": "writes no text, CNN: give the checkpoint of a language model",
    "{dir}/mute.safetensors": "{dir}/mute.safetensors holds no vocabulary",
    "{dir}/mute.safetensors --backend torch": "{dir}/mute.safetensors holds no vocabulary",
    "{dir}/mute.ckpt --backend torch": "{dir}/mute.ckpt holds no vocabulary",
    "{dir}/small.safetensors": f"a vocabulary of {SIZE} tokens for a model of {SIZE - 1}",
    "{dir}/nothing.safetensors": "vocabulary knows no token",
    "{dir}/nan.safetensors": "the largest logit is nan",
    "{dir}/lm.ckpt": "`python -m gdl_torch.export {dir}/lm.ckpt`, and give {dir}/lm.safetensors",
    "{dir}/strict.safetensors --prompt aX€": "--prompt has 'X', '€', which the model's vocabulary lacks",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people may give that cannot be used."""
    folder = tmp_path_factory.mktemp("files")
    model, diverged = build("one layer"), build("one layer")
    diverged.decoder.weight.data[...] = np.nan
    save_model(folder / "lm.safetensors", model, VOCABULARY)
    save_ckpt(folder / "lm.ckpt", twin_of(model))
    save_model(folder / "mute.safetensors", model)
    save_ckpt(folder / "mute.ckpt", from_numpy(model))
    save_model(folder / "mlp.safetensors", MLP(4, (), 3, rng=0))
    save_model(folder / "cnn.safetensors", CNN((1, 4, 4), (2,), rng=0))
    save_model(folder / "small.safetensors", build("one layer", SIZE - 1), VOCABULARY)
    save_model(folder / "nan.safetensors", diverged, VOCABULARY)
    save_model(folder / "nothing.safetensors", build("one layer", 1), Vocabulary((UNKNOWN,)))
    strict = Vocabulary.build(TEXT, unknown=False)
    save_model(folder / "strict.safetensors", build("one layer", len(strict)), strict)
    for name in ("lm.safetensors", "lm.ckpt"):
        content = (folder / name).read_bytes()
        (folder / name.replace("lm", "cut")).write_bytes(content[: len(content) * 2 // 3])
    return folder


@pytest.mark.parametrize(("words", "message"), REFUSALS.items(), ids=REFUSALS)
def test_bad_usage_ends_with_one_line_and_exit_code_2(
    words: str, message: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = (word.format(lm=files / "lm.safetensors", dir=files) for word in words.split())
    assert run(*filled) == 2
    out, err = capsys.readouterr()
    assert out.strip() == ""
    assert err.startswith("generate.py: ")
    assert err.count("\n") == 1
    assert message.format(dir=files) in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_cuda_device_is_said(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint, "--backend", "torch", "--device", "cuda") == 2
    assert "torch finds no CUDA device here" in capsys.readouterr().err


# --- the script as a process -------------------------------------------------------------------------------


def start(*words: str | Path, **variables: str) -> subprocess.Popen[bytes]:
    """Runs the script in a process of its own, which heeds SIGINT even if this one does not."""
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, words)]
    heed = None if os.name == "nt" else partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env, preexec_fn=heed)


def test_a_machine_with_numpy_only_writes_the_same_text(checkpoint: Path) -> None:
    """From the file alone: no torch, none of what only training and data sets need. UTF-8 comes out."""
    for_training = ("gdl_torch", "lightning", "matplotlib", "pooch", "requests", "sklearn", "scipy")
    needless = (*for_training, "jaxtyping", "beartype")
    lean = BLOCKER.format(blocked=f'"torch" in top or top in {needless}')
    code = f"{lean}\nimport runpy\ndel sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    words = [str(SCRIPT), str(checkpoint), "--prompt", "☃ N", "--length", "80", "--seed", "2"]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", code, *words]
    process = subprocess.run(command, capture_output=True, env=env, timeout=60, check=False)
    expected = expected_text(build("LSTMLanguageModel"), "☃ N", 80, rng=2)
    assert (process.stdout.decode(), process.stderr.decode()) == (expected, "")
    assert process.returncode == 0


def test_a_terminal_that_lacks_a_character_is_no_reason_to_stop(checkpoint: Path) -> None:
    process = start(checkpoint, "--prompt", "☃ N", "--length", "80", "--seed", "2", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=60)
    expected = expected_text(build("LSTMLanguageModel"), "☃ N", 80, rng=2)
    assert (out, err) == (expected.encode("ascii", errors="backslashreplace"), b"")
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_text_streams_until_ctrl_c(checkpoint: Path) -> None:
    """It is there long before the last token; after Ctrl-C nothing is said."""
    with start(checkpoint, "--prompt", "N", "--length", str(10**12)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(500).startswith(b"N")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read().strip() == b""
    assert process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise")
def test_a_reader_who_has_enough_ends_it_quietly(checkpoint: Path) -> None:
    """As in `generate.py … | head`."""
    with start(checkpoint, "--length", str(10**12), "--stats") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(checkpoint: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(checkpoint), "--length", "5"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert process.returncode == 2
    assert process.stderr.count(b"\n") == 1
    assert b"No space left" in process.stderr
