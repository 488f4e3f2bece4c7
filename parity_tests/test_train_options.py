"""The options of `scripts/train.py`: one for every argument, of every type, each with its help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pytest
import typer

from gdl_numpy.data import TextDataModule, data_modules_of
from gdl_numpy.models import MODELS
from gdl_numpy.options import descriptions_of, given_in, options_of
from gdl_numpy.training_flags import TrainingFlags, defaults_of
from gdl_torch.data import DataModule
from gdl_torch.data.sets import BASES
from gdl_torch.models import MODELS as TORCH_MODELS
from parity_tests.support.train_script import (
    as_run,
    script,
    train,
)

pytestmark = as_run


@pytest.mark.parametrize("name", MODELS)
def test_help_has_every_argument_of_model_data_and_loss(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options come from the signatures: a new model, data module or loss needs none written for it."""
    assert train(f"{name.lower()} --help") == 0
    shown = set(re.findall(r"--([a-z-]+)", capsys.readouterr().out))
    model = MODELS[name]
    for callee in (model, model.task.of, TrainingFlags, *data_modules_of(model)):
        for parameter in inspect.signature(callee).parameters:
            written = parameter.replace("_", "-")
            assert (written in shown) == (parameter not in script["NO_FLAGS"] or parameter == "seed"), (
                parameter
            )


@pytest.mark.parametrize("module", BASES, ids=lambda module: module.__name__)
def test_an_option_of_the_data_reaches_both_sides(module: type[DataModule]) -> None:
    """Lightning's data module is made with those of the arguments that it has, and none may be lost."""
    ours, theirs = (inspect.signature(side).parameters for side in (module.twin, module))
    for name in ours.keys() - {"dataset", "ahead"}:  # `ahead` it takes from the Trainer's model
        assert theirs[name].default == ours[name].default, name


@pytest.mark.parametrize("name", MODELS)
def test_an_option_of_the_loss_reaches_both_sides(name: str) -> None:
    ours = inspect.signature(MODELS[name].task.of).parameters.keys() - {"model"}
    assert ours <= inspect.signature(TORCH_MODELS[name]).parameters.keys()


def test_help_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    """No model is bad usage; the help that it brings lists them."""
    assert train() == 2
    shown = "".join(capsys.readouterr())
    for name in MODELS:
        assert name in shown


def test_choices_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """In their own upper and lower case, and whole, in a window of the usual width."""
    assert train("ContrastiveEncoder --help") == 0
    shown = capsys.readouterr().out
    for loss in ("NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"):
        assert loss in shown


def test_the_help_says_which_options_are_for_some_data_only() -> None:
    """A language model reads running text and sentences, and only of the former has it such options."""
    options = script["options_for"](MODELS["LSTMLanguageModel"])
    said = {name: get_args(option.annotation)[1].help for name, option in options.items()}
    for name in ("chunk", "vocabulary", "unknown", "max_words"):
        assert " Only for running text." in said[name]
    assert "Only for" not in said["batch_size"]


class Gadget:
    """A model, as far as its options go.

    Args:
        width: how wide it is,
            in all.
        rate: how fast.
        name: `what` it is called.
        bias: whether there is one.
        sizes: of its parts.
        limit: None for none.
        kind: which.
        rng: not the command line's.
    """

    def __init__(
        self,
        width: int = 3,
        rate: float = 0.5,
        name: str = "x",
        bias: bool = True,
        sizes: tuple[int, ...] = (4,),
        limit: float | None = None,
        kind: Literal["this", "that"] = "this",
        *,
        rng: np.random.Generator | None = None,
    ) -> None: ...


class Relative(TextDataModule):
    """What it takes, and what it is called there, is all its base's: this file knows nothing of tokens."""


class Undescribed(Gadget):
    """What it takes is said by its base, but for one."""

    def __init__(self, width: int = 5, colour: str = "red") -> None: ...


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        (
            "--width 5 --rate 1e-2 --name y --no-bias --sizes none --limit 2 --kind THAT",
            {"width": 5, "rate": 0.01, "name": "y", "bias": False, "sizes": (), "limit": 2.0, "kind": "that"},
        ),
        ("--width 3 --bias --sizes 1,2", {"width": 3, "bias": True, "sizes": (1, 2)}),
    ],
)
def test_arguments_of_every_type_become_options(line: str, expected: dict[str, Any]) -> None:
    """What is given arrives in its type; what is not given is the callee's to decide."""
    found: dict[str, Any] = {}

    def command(context: typer.Context, **values: Any) -> None:
        found.update(given_in(context, values))

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    options = options_of(Gadget, skip=["rng"])
    command.__signature__ = inspect.Signature([context, *options.values()])  # type: ignore[attr-defined]
    app = typer.Typer()
    app.command()(command)
    app(line.split(), standalone_mode=False)
    assert found == expected
    assert [type(found[name]) for name in expected] == [type(value) for value in expected.values()]


def test_an_options_help_is_all_that_the_docstring_says() -> None:
    """Also on its second line, and where the base says it."""
    assert descriptions_of(Undescribed) == descriptions_of(Gadget)
    assert descriptions_of(Gadget)["width"] == "How wide it is, in all."
    assert descriptions_of(Gadget)["name"] == "What it is called."


def test_no_option_can_vanish() -> None:
    """An argument that nobody describes, or of a type that no command line has, is an error and no gap."""
    with pytest.raises(TypeError, match="Undescribed: the docstring does not say what colour is"):
        options_of(Undescribed)
    with pytest.raises(TypeError, match="Gadget: no option can be of the type"):
        options_of(Gadget)


def test_options_of_a_class_whose_arguments_are_its_bases() -> None:
    """Types are looked up where the arguments are written, not only where the class is."""
    own, inherited = (options_of(module, skip=["dataset"]) for module in (TextDataModule, Relative))
    assert own.keys() == inherited.keys()
    assert {name: option.default for name, option in own.items()} == {
        name: option.default for name, option in inherited.items()
    }


@pytest.mark.parametrize(
    "kind", [int | str, list[int], Sequence[float], tuple[str, ...], dict, Any, "Nothing"]
)
def test_types_that_no_option_has(kind: Any) -> None:
    def tool(thing: Any) -> None:
        """A tool.

        Args:
            thing: what it needs.
        """

    tool.__annotations__["thing"] = kind
    with pytest.raises(TypeError, match="tool: no option can be of the type of thing"):
        options_of(tool)


def test_a_model_without_data() -> None:
    with pytest.raises(TypeError, match="Gadget is not among the readers of any data module"):
        defaults_of(Gadget)
