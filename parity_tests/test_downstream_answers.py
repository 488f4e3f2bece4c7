"""What a model was trained by, drawn on both sides; and how it was trained, read from its run.json."""

from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import downstream
from gdl_numpy.checkpoint import describe_model, load_model, save_model
from gdl_numpy.data import load
from gdl_numpy.data.pretext import cut_out, tint
from gdl_numpy.downstream.answers import fill_in
from gdl_numpy.downstream.recorded import OF_VIEWS
from gdl_numpy.models import MLP, MODELS, Colorizer, ContrastiveEncoder, PatchInpainter, RotationClassifier
from gdl_numpy.models.trunk import HasTrunk
from gdl_numpy.run_folder import SETTINGS
from gdl_torch import downstream as torch_downstream
from gdl_torch.export import from_numpy
from parity_tests.harness.rounding import probable_gamma, unit_roundoff
from parity_tests.support import Disturb, State, moved_by_rounding

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*isinstance.treespec, LeafSpec:FutureWarning", "ignore:GPU available but not used"
)
SCRIPTS = Path(__file__).parent.parent / "scripts"
main = runpy.run_path(str(SCRIPTS / "downstream.py"))["main"]
train = runpy.run_path(str(SCRIPTS / "train.py"))["main"]
DIGITS = load("digits")
SHAPE = {"in_shape": (1, 8, 8), "hidden_features": (8,)}
WITH_TRUNK: dict[str, Any] = {name: model for name, model in MODELS.items() if issubclass(model, HasTrunk)}
QUICK = ["--steps", "0", "--draws", "1", "--labels", "10%"]
STILL = dict.fromkeys(OF_VIEWS, 0.0)  # with which a view is the image
SIDES: dict[str, Any] = {"numpy": downstream, "torch": torch_downstream}


def small(name: str, seed: int = 0) -> Any:
    """A model for digits, untrained."""
    size = {"patch_size": 3} if name == "PatchInpainter" else {}
    return WITH_TRUNK[name](**SHAPE, **size, rng=seed)


def apart(model: Any, inputs: np.ndarray) -> float:
    """How far the answers of two sides may be apart that both compute in float32."""

    def run(disturb: Disturb) -> list[State]:
        own = copy.deepcopy(model).astype(np.float64)
        disturb(own)
        return [{"answers": downstream.answers_of(own, inputs.astype(np.float64))}]

    sums = probable_gamma(inputs[0].size, unit_roundoff(np.float32))
    (moved,) = moved_by_rounding(run, sums)
    return 2 * moved["answers"]


def some_images() -> np.ndarray:
    images: np.ndarray = DIGITS.test.inputs[:6]
    return images


# --- questions and answers ---------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_filling_in_undoes_cutting_out(seed: int, size: int) -> None:
    """Each patch goes where it was: else a good answer would look wrong."""
    images, rng = some_images(), np.random.default_rng(seed)
    tops, lefts = rng.integers(0, 8 - size + 1, (2, len(images)))
    holed, patches = cut_out(images, tops, lefts, size)
    before = holed.copy()
    np.testing.assert_array_equal(fill_in(holed, tops, lefts, patches), images)
    np.testing.assert_array_equal(holed, before)


def test_only_the_right_answer_turns_an_image_back() -> None:
    """Of the four that a model can give."""
    images = some_images()
    question = downstream.question_of(small("RotationClassifier"), images, np.random.default_rng(0))
    rights = np.array(
        [
            [np.array_equal(image, back) for image, back in zip(images, rows["turned back"], strict=True)]
            for rows in (question.rows(np.eye(4)[np.full(len(images), says)]) for says in range(4))
        ]
    )
    np.testing.assert_array_equal(rights.sum(axis=0), 1)
    turns = rights.argmax(axis=0)
    assert len(set(turns)) > 1
    np.testing.assert_array_equal(np.rot90(images[0], turns[0], (1, 2)), question.inputs[0])


def test_a_patch_is_cut_out_and_what_the_model_says_put_there() -> None:
    """The rest of the image stays: outside the square, both rows are the image."""
    images, model = some_images(), small("PatchInpainter")
    question = downstream.question_of(model, images, np.random.default_rng(0))
    rows = question.rows(np.full((len(images), 1, 3, 3), 0.123, np.float32))
    assert list(rows) == ["cut out", "filled in"]
    inside = rows["filled in"] == np.float32(0.123)
    np.testing.assert_array_equal(inside.sum(axis=(1, 2, 3)), 9)
    np.testing.assert_array_equal(rows["filled in"][~inside], images[~inside])
    np.testing.assert_array_equal(question.inputs, np.where(inside, 0, images))


def test_colours_are_asked_of_the_grey_image() -> None:
    """The model does not see what it is to say."""
    images = some_images()
    question = downstream.question_of(small("Colorizer"), images, np.random.default_rng(0))
    np.testing.assert_array_equal(question.inputs, images)
    answer = np.zeros((len(images), 3, 8, 8), np.float32)
    rows = question.rows(answer)
    np.testing.assert_array_equal(rows["colours"], tint(images))
    assert rows["coloured"] is answer


@pytest.mark.parametrize("name", WITH_TRUNK)
def test_every_model_has_a_picture_and_the_same_on_both_sides(name: str) -> None:
    """A new model with a trunk needs one too. Asked and drawn are the same; answers differ by rounding."""
    model = small(name).train()
    pictures, bounds = [], [0.0]
    for side, other in ((downstream, model), (torch_downstream, from_numpy(model))):
        rng = np.random.default_rng(3)

        def answer(inputs: np.ndarray, side: Any = side, other: Any = other) -> np.ndarray:
            bounds.append(apart(model, inputs))
            found: np.ndarray = side.answers_of(other, inputs)
            return found

        pictures.append(downstream.task_rows(model, DIGITS, answer, side.random_view(**STILL), rng))
    (kind, ours), (their_kind, theirs) = pictures
    assert kind == their_kind == ("views" if name == "ContrastiveEncoder" else "answers")
    assert list(ours) == list(theirs)
    for title, images in ours.items():
        assert len(images) == DIGITS.num_classes
        np.testing.assert_allclose(images, theirs[title], rtol=0, atol=max(bounds))
    shown = (DIGITS.train if kind == "views" else DIGITS.test).inputs
    assert all(any(np.array_equal(image, one) for one in shown) for image in ours["image"])
    assert model.training  # eval mode was left again


def test_other_models_have_no_question() -> None:
    with pytest.raises(ValueError, match="an MLP has no pretext task on images"):
        downstream.question_of(MLP(rng=0), some_images(), np.random.default_rng(0))


@pytest.mark.parametrize("backend", SIDES)
def test_views_are_those_of_the_arguments(backend: str) -> None:
    """Nothing else than what they say happens to an image, and each view is another."""
    side = SIDES[backend]
    images, rng = DIGITS.train.inputs[:20], np.random.default_rng(0)
    rows = downstream.view_rows(images, side.random_view(**STILL | {"erasing": 1.0}), rng, 3)
    assert list(rows) == ["image", "view 1", "view 2", "view 3"]
    views = [rows[f"view {i}"] for i in (1, 2, 3)]
    for view in views:
        assert np.all((view == images) | (view == 0))
        assert not np.array_equal(view, images)
    assert not np.array_equal(views[0], views[1])
    still = downstream.view_rows(images, side.random_view(**STILL), rng)
    assert len(still) == 6
    for view in still.values():
        np.testing.assert_array_equal(view, images)


# --- what is recorded of the training ----------------------------------------------------------------------


def record(folder: Path, model: Any, **settings: Any) -> Path:
    """Writes a model and its run.json; returns the model's file."""
    checkpoint = folder / "model.safetensors"
    save_model(checkpoint, model)
    description = describe_model(model)
    usual = {"model": description["model"], "backend": "numpy", "data": "digits", "seed": 0}
    (folder / SETTINGS).write_text(json.dumps(usual | description["hparams"] | settings))
    return checkpoint


def test_what_the_run_says_is_taken_and_else_what_is_usual(tmp_path: Path) -> None:
    model = small("ContrastiveEncoder")
    nowhere = tmp_path / "model.safetensors"
    assert downstream.training_of(nowhere, model) == downstream.Training("digits", 0, OF_VIEWS)
    checkpoint = record(tmp_path, model, data="mnist", seed=7, degrees=40, shear=0.5)
    views = OF_VIEWS | {"degrees": 40.0, "shear": 0.5}
    assert downstream.training_of(checkpoint, model) == downstream.Training("mnist", 7, views)


def test_a_run_of_another_model_says_nothing(tmp_path: Path) -> None:
    """Neither one of another class, nor one of other sizes: its first weights were others."""
    checkpoint = record(tmp_path, small("ContrastiveEncoder"), seed=7)
    wider = ContrastiveEncoder((1, 8, 8), hidden_features=(9,), rng=0)
    for model in (small("Colorizer"), wider):
        assert downstream.training_of(checkpoint, model) == downstream.Training()


def table_of(arguments: list[str], folder: Path) -> list[dict[str, Any]]:
    """What the script writes as JSON."""
    path = folder / "table.json"
    assert main([*arguments, "--json", str(path), "--out", str(folder), *QUICK]) == 0
    table: list[dict[str, Any]] = json.loads(path.read_text())
    return table


def test_the_untrained_network_is_the_one_that_training_began_with(tmp_path: Path) -> None:
    """With a learning rate of 0 a run ends where it began, so that both columns are the same."""
    sizes = ["--channels", "none", "--hidden-features", "8", "--projection-features", "4"]
    flags = ["--epochs", "1", "--seed", "5", "--lr", "0", "--degrees", "3", "--out", str(tmp_path)]
    assert train(["ContrastiveEncoder", *sizes, *flags]) == 0
    checkpoint = tmp_path / "model.safetensors"
    training = downstream.training_of(checkpoint, load_model(checkpoint))
    assert (training.seed, training.views["degrees"]) == (5, 3)
    assert all(row["trained"] == row["untrained"] for row in table_of([str(checkpoint)], tmp_path))
    other = table_of([str(checkpoint), "--seed", "6"], tmp_path)
    assert any(row["trained"] != row["untrained"] for row in other)


def test_a_data_set_that_is_given_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the place of that which the run had."""
    checkpoint = record(tmp_path, small("Colorizer"), data="digit")
    assert main([str(checkpoint), *QUICK]) == 2
    assert "unknown data set of images 'digit': did you mean 'digits'?" in capsys.readouterr().err
    assert table_of([str(checkpoint), "--data", "digits"], tmp_path)


DAMAGED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "cut off": (b"{", "Expecting property name"),
    "no text": (b"\xff\xfe", "can't decode"),
    "deep": (b"[" * 100_000, "recursion"),
    "a list": (b"[]", "they are no flags"),
    "empty": (b"{}", "there is no model"),
    "seed in words": ({"seed": "one"}, "its seed is not int"),
    "seed of true": ({"seed": True}, "its seed is not int"),
    "seed below 0": ({"seed": -1}, "its seed is -1"),
    "no data": ({"data": None}, "its data is not str"),
    "list of degrees": ({"degrees": [1]}, "its degrees is not float"),
    "degrees below 0": ({"degrees": -1}, "degrees must be 0 or more"),
    "endless shear": ({"shear": 10**400}, "too large"),
    "scale that is no number": ({"scale": float("nan")}, "scale must be in [0, 1), got nan"),
}


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_settings_are_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file and what to do, before anything is computed or drawn."""
    content, message = DAMAGED[case]
    checkpoint = record(tmp_path, small("ContrastiveEncoder"), **content if isinstance(content, dict) else {})
    if isinstance(content, bytes):
        (tmp_path / SETTINGS).write_bytes(content)
    assert main([str(checkpoint)]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.count("\n") == 1
    assert f"{tmp_path / SETTINGS}, the settings of the checkpoint's run, cannot be used (" in captured.err
    assert message in captured.err
    assert captured.err.endswith("mend it, or move the checkpoint to a folder without it\n")
    assert not list(tmp_path.glob("*.png"))


def test_settings_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = record(tmp_path, small("ContrastiveEncoder"))
    (tmp_path / SETTINGS).unlink()
    (tmp_path / SETTINGS).mkdir()
    assert main([str(checkpoint)]) == 2
    assert f"{tmp_path / SETTINGS}, the settings of" in capsys.readouterr().err


# --- the script --------------------------------------------------------------------------------------------


def called(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """From now on, what a function of a module is called with."""
    calls: list[tuple[Any, ...]] = []
    function = getattr(module, name)

    def spy(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return function(*arguments, **named)

    monkeypatch.setattr(module, name, spy)
    return calls


@pytest.mark.parametrize("backend", SIDES)
@pytest.mark.parametrize(
    ("model", "picture", "titles"),
    [
        (RotationClassifier, "answers.png", ["image", "turned", "turned back"]),
        (PatchInpainter, "answers.png", ["image", "cut out", "filled in"]),
        (Colorizer, "answers.png", ["image", "colours", "coloured"]),
        (ContrastiveEncoder, "views.png", ["image", *(f"view {i}" for i in range(1, 6))]),
    ],
)
def test_the_script_draws_the_models_own_task(
    model: type[Any],
    picture: str,
    titles: list[str],
    backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On either backend, with the model of that backend, and with the views that the run had."""
    drawn = called(monkeypatch, downstream, "draw_rows")
    asked = called(monkeypatch, SIDES[backend], "answers_of")
    of_views = called(monkeypatch, SIDES[backend], "random_view")
    trained = small(model.__name__, seed=4)
    checkpoint = record(tmp_path, trained, seed=1, **(STILL if model is ContrastiveEncoder else {}))
    assert main([str(checkpoint), "--backend", backend, *QUICK]) == 0
    assert picture in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.png")} == {"embedding.png", "nearest.png", picture}
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert len(asked) == (model is not ContrastiveEncoder)
    assert len(of_views) == 1
    ((rows,),) = drawn
    assert list(rows) == titles
    if model is ContrastiveEncoder:
        expected, bound = dict.fromkeys(titles, rows["image"]), 0.0
    else:
        question = downstream.question_of(trained, rows["image"], np.random.default_rng(1))
        expected = question.rows(downstream.answers_of(trained, question.inputs))
        bound = apart(trained, question.inputs)
    for title, images in expected.items():
        np.testing.assert_allclose(rows[title], images, rtol=0, atol=bound)
