"""What encoders are used for: against scikit-learn and plain formulas, and the same on both sides."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdl_numpy import downstream
from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import Split, load
from gdl_numpy.downstream import neighbours
from gdl_numpy.downstream.fine_tuning import FineTuned, schedule
from gdl_numpy.models import MLP, ContrastiveEncoder, RotationClassifier
from gdl_numpy.nn import CrossEntropyLoss
from gdl_torch import downstream as torch_downstream
from gdl_torch.export import from_numpy
from parity_tests.harness import check
from parity_tests.harness.rounding import OPERATIONS, gamma, unit_roundoff
from parity_tests.support import BLOCKER, Disturb, State, assert_within, moved_by_rounding, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*isinstance.treespec, LeafSpec:FutureWarning", "ignore:GPU available but not used"
)
SCRIPT = Path(__file__).parent.parent / "scripts" / "downstream.py"
script = runpy.run_path(str(SCRIPT))
DIGITS = load("digits")
SEEDS = st.integers(0, 2**32 - 1)


def encoder(**arguments: Any) -> ContrastiveEncoder:
    """A small one for digits, untrained: its features are good enough for most that is to be seen here."""
    arguments = {"channels": (4,), "hidden_features": (16,), "projection_features": (8,), **arguments}
    return ContrastiveEncoder((1, 8, 8), rng=0, **arguments).eval()


def clusters(n: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points that a straight line tells apart: each class has a direction of its own."""
    labels = np.arange(n) % classes
    points = 10 * np.eye(classes)[labels] + rng.uniform(-1, 1, (n, classes))
    return points, labels


# --- neighbours --------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 40), st.integers(1, 30), st.integers(1, 6), st.integers(1, 5))
def test_votes_are_those_of_scikit_learn(seed: int, keys: int, queries: int, size: int, classes: int) -> None:
    """For every k there can be, ties of votes included."""
    rng = np.random.default_rng(seed)
    key_points, query_points = rng.standard_normal((keys + 2, size)), rng.standard_normal((queries, size))
    labels, query_labels = (rng.integers(0, classes, n) for n in (keys + 2, queries))
    labels[:2] = 0, 1  # two classes at least
    ks = range(1, keys + 3)
    ours = downstream.knn_accuracy(key_points, labels, query_points, query_labels, ks)
    for k, accuracy in zip(ks, ours, strict=True):
        theirs = KNeighborsClassifier(k, metric="cosine").fit(key_points, labels)
        if size > 1:  # in one dimension all cosines are 1 or −1, and which neighbours count is open
            assert accuracy == pytest.approx(theirs.score(query_points, query_labels))


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, precision: type[np.floating[Any]]) -> None:
    """One query at a time, blocks that do not fit evenly, and all at once: the same neighbours."""
    rng = np.random.default_rng(0)
    queries, keys = (
        rng.standard_normal((11, 3)).astype(precision),
        rng.standard_normal((20, 3)).astype(precision),
    )
    indices, cosines = downstream.nearest_neighbours(queries, keys, 4)
    assert cosines.dtype == precision
    exact = (queries @ keys.T) / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(keys, axis=1))
    np.testing.assert_array_equal(indices, np.argsort(-exact, axis=1)[:, :4])
    np.testing.assert_allclose(
        cosines, np.take_along_axis(exact, indices, 1), rtol=8 * float(np.finfo(precision).eps)
    )
    for at_a_time in (1, 60):
        monkeypatch.setattr(neighbours, "AT_A_TIME", at_a_time)
        again, _ = downstream.nearest_neighbours(queries, keys, 4)
        np.testing.assert_array_equal(again, indices)


def test_points_without_a_direction() -> None:
    """A point of zeros is at a right angle to all: no nan, and of equals the first comes first."""
    keys = np.array([[0.0, 0.0], [1e-9, 0.0], [0.0, 1e9], [-3.0, 0.0]])
    indices, cosines = downstream.nearest_neighbours(np.array([[0.0, 0.0], [2.0, 0.0]]), keys, 4)
    np.testing.assert_array_equal(indices, [[0, 1, 2, 3], [1, 0, 2, 3]])
    np.testing.assert_array_equal(cosines, [[0, 0, 0, 0], [1, 0, 0, -1]])


# --- the probe ---------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(2, 6), st.sampled_from([np.float32, np.float64]))
def test_a_probe_reads_what_a_line_can_tell(seed: int, classes: int, dtype: type[np.floating[Any]]) -> None:
    """All of it, in two classes and more, whatever the scale and place of the features."""
    rng = np.random.default_rng(seed)
    points, labels = clusters(12 * classes, classes, rng)
    points = (points * rng.uniform(0.01, 100, classes) + rng.uniform(-5, 5, classes)).astype(dtype)
    half = len(points) // 2
    assert downstream.probe_accuracy(points[:half], labels[:half], points[half:], labels[half:]) == 1
    weight, bias = downstream.linear_probe(points, labels + 3)
    assert weight.dtype == bias.dtype == dtype
    assert weight.shape == (classes, classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_scikit_learns_pipeline(classes: int) -> None:
    """Of features as they come: neither scale nor mean is lost on the way into the layer's weights."""
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((60, 4)) * [1, 10, 0.1, 3] + [50, 0, -7, 3], np.arange(60) % classes
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(points, labels)
    weight, bias = downstream.linear_probe(points, labels)
    odds = np.exp(points @ weight.T + bias)
    theirs = pipeline.predict_proba(points)
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), theirs, rtol=1e-9)


def test_a_probe_of_noise_learns_nothing() -> None:
    """So that the test above cannot pass by looking at the answers."""
    rng = np.random.default_rng(0)
    noise, labels = rng.standard_normal((400, 5)), np.arange(400) % 2
    assert 0.35 < downstream.probe_accuracy(noise[:200], labels[:200], noise[200:], labels[200:]) < 0.65


@given(SEEDS, st.lists(st.integers(1, 60), min_size=1, max_size=5), st.floats(0.02, 1))
def test_a_subset_has_its_part_of_each_class(seed: int, counts: list[int], fraction: float) -> None:
    """Or is refused, where that would be nobody; the same seed draws the same."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    expected = [round(fraction * count) for count in counts]
    if 0 in expected:
        with pytest.raises(ValueError, match="take more"):
            downstream.labelled_subset(labels, fraction, seed)
        return
    rows = downstream.labelled_subset(labels, fraction, seed)
    assert np.bincount(labels[rows]).tolist() == expected
    assert len(np.unique(rows)) == len(rows)
    np.testing.assert_array_equal(rows, downstream.labelled_subset(labels, fraction, seed))


@given(SEEDS, st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(-3, 300))
def test_so_many_labels_are_shared_out_evenly(seed: int, counts: list[int], number: int) -> None:
    """Exactly the number asked for; refused where a class would have none, or has too few."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    share, more = divmod(number, len(counts))
    expected = [share + (i < more) for i in range(len(counts))]
    if min(expected) < 1 or any(ours > size for ours, size in zip(expected, counts, strict=True)):
        with pytest.raises(ValueError, match=r"take (more|fewer)"):
            downstream.labelled_subset(labels, number, seed)
        return
    rows = downstream.labelled_subset(labels, number, seed)
    assert np.bincount(labels[rows]).tolist() == expected
    assert len(np.unique(rows)) == number


def test_other_seeds_draw_others() -> None:
    labels = np.zeros(100, np.int64)
    rows = [downstream.labelled_subset(labels, 0.1, seed).tolist() for seed in range(5)]
    assert len(set(map(tuple, rows))) == 5


# --- models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_features_in_batches_are_the_features(batch_size: int) -> None:
    """Of every image, in its place, on both sides; the model's mode stays as it was."""
    model, images = encoder(dtype=np.float64).train(), DIGITS.test.inputs[:30].astype(np.float64)
    start = {name: array.copy() for name, array in model.state_dict().items()}

    def whole(disturb: Disturb) -> list[State]:
        model.load_state_dict(start)
        disturb(model)
        return [{"features": model.features(images), "z": model(images)}]

    bounds = moved_by_rounding(whole, float(gamma(images[0].size + OPERATIONS, unit_roundoff(np.float64))))
    expected = whole(nothing)
    twin: Any = from_numpy(model)
    for side, own in ((downstream, model), (torch_downstream, twin)):
        features = side.features_of(own, images, batch_size)
        assert own.training
        assert_within([{"features": features, "z": side.embeddings_of(own, features)}], expected, bounds)


def test_untrained_is_the_first_of_the_run() -> None:
    """The same arguments and seed give the weights that training began with; another seed, others."""
    model = encoder()
    weights = {name: array.copy() for name, array in model.state_dict().items()}
    for array in model.state_dict().values():
        array += 1
    fresh = downstream.untrained(model, 0)
    for name, array in fresh.state_dict().items():
        np.testing.assert_array_equal(array, weights[name], strict=True)
    other = downstream.untrained(model, 1).state_dict()
    assert not np.array_equal(other["trunk.0.weight"], weights["trunk.0.weight"])
    assert downstream.untrained(model.astype(np.float64), 0).state_dict()["head.0.bias"].dtype == np.float64


def test_a_fine_tuned_model_is_the_same_on_both_sides() -> None:
    """Outputs, gradients and steps, within the bounds of rounding."""
    images, targets = DIGITS.train.inputs[:12], DIGITS.train.targets[:12]
    twin: Any = from_numpy(encoder())
    ours = FineTuned(encoder().trunk, 10, rng=1).train()  # an encoder here is in eval mode
    theirs = torch_downstream.FineTuned(twin.trunk, 10)
    report = check(ours, theirs, images, targets, (CrossEntropyLoss(), torch.nn.CrossEntropyLoss()), steps=3)
    assert report.ok, report


def test_fine_tuning_learns_the_same_on_both_sides() -> None:
    """More than the probe that it starts from knows; the models that it started from stay as they were."""
    model = encoder()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    rows = downstream.labelled_subset(DIGITS.train.targets, 0.2, 0)
    labelled = DIGITS.train.select(rows)
    accuracy = downstream.fine_tune(model, labelled, DIGITS.test, steps=60, lr=3e-3)
    features = downstream.features_of(model, labelled.inputs)
    tested = downstream.features_of(model, DIGITS.test.inputs), DIGITS.test.targets
    assert accuracy > downstream.probe_accuracy(features, labelled.targets, *tested) + 0.02
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], strict=True)
    twin: Any = from_numpy(model)
    theirs = torch_downstream.fine_tune(twin, labelled, DIGITS.test, steps=60, lr=3e-3)
    assert theirs == pytest.approx(accuracy, abs=2 / len(DIGITS.test))  # an image or two near a border
    for name, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name], strict=True)


def test_the_schedule_has_the_steps() -> None:
    """Whole epochs, at least so many steps, and a tenth of the learning rate in the last."""
    labelled = Split(np.zeros((120, 1, 2, 2), np.float32), np.arange(120) % 2)
    epochs, lr_decay = schedule(labelled, 10)  # 3 batches
    assert epochs == 4
    assert lr_decay**3 == pytest.approx(0.1)
    assert schedule(labelled, 1) == (1, 0.1)


# --- refusals ----------------------------------------------------------------------------------------------

POINTS = np.eye(4)
MIXED = np.array([0, 1, 0, 1])
SAME = np.array([2, 2, 2, 2])


def split(labels: np.ndarray) -> Split:
    return Split(DIGITS.train.inputs[: len(labels)], labels)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "k of 0": (lambda: downstream.nearest_neighbours(POINTS, POINTS, 0), "k must be from 1 to 4"),
    "k too large": (lambda: downstream.knn_accuracy(POINTS, MIXED, POINTS, MIXED, (1, 5)), "from 1 to 4"),
    "a k of 0 among others": (
        lambda: downstream.knn_accuracy(POINTS, MIXED, POINTS, MIXED, (0, 1)),
        r"from 1, got \(0, 1\)",
    ),
    "no k": (lambda: downstream.knn_accuracy(POINTS, MIXED, POINTS, MIXED, ()), r"from 1, got \(\)"),
    "a diverged encoder, neighbours": (
        lambda: downstream.knn_accuracy(POINTS, MIXED, np.nan * POINTS, MIXED),
        "finite, got nan",
    ),
    "a diverged encoder, probe": (
        lambda: downstream.probe_accuracy(POINTS * np.nan, MIXED, POINTS, MIXED),
        "finite, got nan",
    ),
    "sizes of features": (
        lambda: downstream.probe_accuracy(POINTS, MIXED, POINTS[:, :2], MIXED),
        r"of one size, got \(4, 4\) and \(4, 2\)",
    ),
    "sizes": (lambda: downstream.nearest_neighbours(POINTS, POINTS[:, :2], 1), "of one size"),
    "single class, neighbours": (lambda: downstream.knn_accuracy(POINTS, SAME, POINTS, SAME), "got only 2"),
    "single class, probe": (lambda: downstream.probe_accuracy(POINTS, SAME, POINTS, SAME), "got only 2"),
    "single class, tuning": (lambda: downstream.fine_tune(encoder(), split(0 * SAME), DIGITS.test), "only 0"),
    "a class missing": (
        lambda: downstream.fine_tune(encoder(), split(2 * MIXED), DIGITS.test),
        "without a gap",
    ),
    "labels missing": (
        lambda: downstream.probe_accuracy(POINTS, MIXED[:3], POINTS, MIXED),
        "one label for each",
    ),
    "nothing to test": (lambda: downstream.probe_accuracy(POINTS, MIXED, POINTS[:0], MIXED[:0]), "got none"),
    "fraction of 0": (lambda: downstream.labelled_subset(MIXED, 0.0), "above 0 and at most 1"),
    "fraction above 1": (lambda: downstream.labelled_subset(MIXED, 1.5), "above 0 and at most 1"),
    "steps": (lambda: downstream.fine_tune(encoder(), split(MIXED), DIGITS.test, steps=0), "at least 1"),
    "no images": (lambda: downstream.features_of(encoder(), DIGITS.test.inputs[:0]), "at least one"),
    "batch_size": (lambda: downstream.features_of(encoder(), DIGITS.test.inputs, 0), "batch_size"),
    "map of one": (lambda: downstream.on_a_plane(POINTS[:1]), "2 points or more"),
    "t-SNE of few": (lambda: downstream.on_a_plane(POINTS, tsne=True), "31 points or more"),
    "no trunk": (lambda: downstream.check_encoder(MLP(rng=0), DIGITS), "an MLP has no trunk"),
    "shape": (lambda: downstream.check_encoder(ContrastiveEncoder(rng=0), DIGITS), r"have shape \(1, 8, 8\)"),
}


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    """What makes no sense is refused, in words."""
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


# --- pictures and the script -------------------------------------------------------------------------------


def test_on_a_plane_keeps_what_spreads() -> None:
    """Of points on a plane in space all distances stay; t-SNE keeps groups together."""
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((20, 2)) @ np.linalg.qr(rng.standard_normal((5, 2)))[0].T
    plane = downstream.on_a_plane(flat)

    def distances(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
        between: np.ndarray = np.linalg.norm(points[:, None] - points, axis=2)
        return between

    np.testing.assert_allclose(distances(plane), distances(flat), rtol=1e-9, atol=1e-9)
    line = rng.standard_normal((20, 1))  # of an encoder whose codes are one number
    np.testing.assert_allclose(distances(downstream.on_a_plane(line)), distances(line), atol=1e-9)
    points, labels = clusters(60, 2, rng)
    mapped = downstream.on_a_plane(points, tsne=True)
    assert downstream.knn_accuracy(*(mapped - mapped.mean(0), labels) * 2, (2,)) == [1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_model(path, encoder())
    return path


QUICK = ["--steps", "8", "--draws", "1", "--labels", "10%,20"]


def test_both_backends_make_the_same_table(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every use, for a model that is untrained on both sides of the table; and the pictures."""
    tables = []
    for backend in ("numpy", "torch"):
        out, table = tmp_path / backend, tmp_path / f"{backend}.json"
        arguments = [str(checkpoint), "--backend", backend, "--out", str(out), "--json", str(table), *QUICK]
        assert script["main"](arguments) == 0
        tables.append(json.loads(table.read_text()))
        for picture in ("embedding.png", "nearest.png"):
            assert (out / picture).read_bytes().startswith(b"\x89PNG")
    ours, theirs = tables
    uses = [(row["use"], row["labels"]) for row in ours]
    probes = [
        ("linear probe", "all"),
        *((use, n) for use in ("linear probe", "fine-tuned") for n in ("10%", "20")),
    ]
    assert uses == probes + [
        (f"{k} nearest by {points}", "all") for points in ("features", "z") for k in (1, 5)
    ]
    for our, their in zip(ours, theirs, strict=True):
        assert our["trained"] == our["untrained"]  # the seed is that of the encoder
        assert (our["use"], our["labels"]) == (their["use"], their["labels"])
        assert our["trained"] == pytest.approx(their["trained"], abs=2 / len(DIGITS.test))
    printed = capsys.readouterr().out
    assert f"{ours[0]['trained']:.2%}" in printed
    assert "nearest.png" in printed


def test_numpy_needs_no_torch(tmp_path: Path) -> None:
    """Of a pretext model too, which has features and no z."""
    save_model(tmp_path / "model.safetensors", RotationClassifier((1, 8, 8), (), (8,), rng=0))
    blocker = BLOCKER.format(blocked='"torch" in top or top in ("lightning", "gdl_torch")')
    code = f"{blocker}\nimport runpy\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import sys\nsys.argv = sys.argv[1:]\n{code}"
    command = [sys.executable, "-c", code, str(SCRIPT), str(tmp_path / "model.safetensors"), *QUICK]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "1 nearest by features" in result.stdout
    assert "by z" not in result.stdout


def test_the_script_says_what_is_wrong_in_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything is computed."""
    mlp, mnist_sized = tmp_path / "mlp.safetensors", tmp_path / "mnist.safetensors"
    save_model(mlp, MLP(rng=0))
    save_model(mnist_sized, ContrastiveEncoder(hidden_features=(4,), rng=0))
    for arguments, message in [
        ([str(mlp)], "an MLP has no trunk"),
        ([str(mnist_sized)], "takes images of shape (1, 28, 28)"),
        ([str(checkpoint), "--labels", "0.1%"], "0 examples of class 0, which has"),
        ([str(checkpoint), "--labels", "a"], "--labels expects the likes of"),
        ([str(checkpoint), "--labels", "200%"], "at most 1"),
        ([str(checkpoint), "--labels", "9"], "0 examples of class 9"),
        ([str(checkpoint), "--labels", "5000"], "500 examples of class 0, which has"),
        ([str(checkpoint), "--labels", "-10"], "-1 examples of class 0"),
        ([str(checkpoint), "--data", "minst"], "did you mean 'mnist'"),
        ([str(checkpoint), "--device", "cuda"], "--device cuda is for --backend torch"),
        ([str(tmp_path / "none.safetensors")], "there is no checkpoint"),
    ]:
        assert script["main"](arguments) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("downstream.py: ")
        assert captured.err.count("\n") == 1
        assert message in captured.err
        assert not captured.out
