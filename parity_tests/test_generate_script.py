"""`generate.py` writes as a stream what any kind of checkpoint says; what cannot be is one line."""

from __future__ import annotations

import io
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

from gdl_numpy import generation
from gdl_numpy.checkpoint import describe_model, save_checkpoint, save_model
from gdl_numpy.data import UNKNOWN, Vocabulary
from gdl_numpy.models import CNN, MLP, TransitionMatrixLM
from gdl_torch.export import export_checkpoint, from_numpy
from parity_tests.support import BLOCKER, WRITERS, WRITERS_TEXT, WRITERS_VOCABULARY, twin_of, writer

if TYPE_CHECKING:
    from gdl_numpy.models import LanguageModel

SCRIPT = Path(__file__).parent.parent / "scripts" / "generate.py"
script = runpy.run_path(str(SCRIPT))
SIZE = len(WRITERS_VOCABULARY)
all_models = pytest.mark.parametrize("name", WRITERS)
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])


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
    ids = generation.generate(model, WRITERS_VOCABULARY.encode(prompt), length, exclude=[0], **how)
    return f"{prompt}{WRITERS_VOCABULARY.decode(list(ids))}\n"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, writer("LSTMLanguageModel"), WRITERS_VOCABULARY)
    return path


@all_models
def test_every_kind_of_checkpoint_gives_the_same_text(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model's file, a training checkpoint, Lightning's and its export; many-byte characters all through."""
    model = writer(name)
    training = {f"model.{key}": array for key, array in model.state_dict().items()}
    save_model(tmp_path / "model.safetensors", model, WRITERS_VOCABULARY)
    save_checkpoint(tmp_path / "checkpoint.safetensors", training, describe_model(model, WRITERS_VOCABULARY))
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
    assert out == expected_text(writer("LSTMLanguageModel"), "N€Xe€X", 300, rng=0)
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
    save_model(tmp_path / "m.safetensors", writer("one layer", vocab_size=3 * SIZE), WRITERS_VOCABULARY)
    assert run(tmp_path / "m.safetensors", "--prompt", "a", "--length", 200, "--temperature", 1e6) == 0
    out = capsys.readouterr().out
    assert len(out) == 202
    assert set(out) <= set(WRITERS_VOCABULARY.tokens[1:])


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
    "{dir}/small.safetensors": f"it has {SIZE} tokens for a model of {SIZE - 1}",
    "{dir}/nothing.safetensors": "vocabulary knows no token",
    "{dir}/nan.safetensors": "the largest logit is nan",
    "{dir}/lm.ckpt": "`python -m gdl_torch.export {dir}/lm.ckpt`, and give {dir}/lm.safetensors",
    "{dir}/strict.safetensors --prompt aX€": "--prompt has 'X', '€', which the model's vocabulary lacks",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people may give that cannot be used."""
    folder = tmp_path_factory.mktemp("files")
    model, diverged = writer("one layer"), writer("one layer")
    diverged.decoder.weight.data[...] = np.nan
    save_model(folder / "lm.safetensors", model, WRITERS_VOCABULARY)
    save_ckpt(folder / "lm.ckpt", twin_of(model))
    save_model(folder / "mute.safetensors", model)
    save_ckpt(folder / "mute.ckpt", from_numpy(model))
    save_model(folder / "mlp.safetensors", MLP(4, (), 3, rng=0))
    save_model(folder / "cnn.safetensors", CNN((1, 4, 4), (2,), rng=0))
    save_model(folder / "small.safetensors", writer("one layer", SIZE - 1), WRITERS_VOCABULARY)
    save_model(folder / "nan.safetensors", diverged, WRITERS_VOCABULARY)
    save_model(folder / "nothing.safetensors", writer("one layer", 1), Vocabulary((UNKNOWN,)))
    strict = Vocabulary.build(WRITERS_TEXT, unknown=False)
    save_model(folder / "strict.safetensors", writer("one layer", len(strict)), strict)
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


# --- as a process ----------------------------------------------------------------------------------------


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
    expected = expected_text(writer("LSTMLanguageModel"), "☃ N", 80, rng=2)
    assert (process.stdout.decode(), process.stderr.decode()) == (expected, "")
    assert process.returncode == 0


def test_a_terminal_that_lacks_a_character_is_no_reason_to_stop(checkpoint: Path) -> None:
    process = start(checkpoint, "--prompt", "☃ N", "--length", "80", "--seed", "2", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=60)
    expected = expected_text(writer("LSTMLanguageModel"), "☃ N", 80, rng=2)
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
def test_a_checkpoint_gives_a_terminal_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends of lines and tabs are text; into a file everything goes as it is."""
    for is_terminal, expected in ((True, "a\n\tb\\x1b[2Jc\n"), (False, "a\n\tb\x1b[2Jc\n")):
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda is_terminal=is_terminal: is_terminal)
        monkeypatch.setattr(sys, "stdout", out)
        script["stream"]("a\n", ["\tb", "\x1b[2J", "c"])
        assert out.getvalue() == expected


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
