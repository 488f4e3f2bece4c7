"""Under the Trainer too, what cannot be is refused by name, before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.data import TextDataset
from gdl_torch import training
from gdl_torch.data import DigitsDataModule, PythonDocsDataModule
from gdl_torch.data.loading import Batch, ignore_advice
from gdl_torch.models import CNN, MLP, LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from parity_tests.support import (
    QUIET,
    TEXT_RECIPES,
    WARNINGS_OF_LIGHTNING,
    FewSentences,
    ShortText,
    TextRecipe,
    gdl_torch,
    trainer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = WARNINGS_OF_LIGHTNING


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLP(optimizer="adamm"), "unknown optimizer 'adamm': did you mean 'Adam'"),
        (lambda: MLP(lr=-0.1), "lr must be a finite number ≥ 0, got -0.1"),
        (lambda: MLP(lr=float("nan")), "lr must be a finite number ≥ 0, got nan"),
        (lambda: MLP(lr=float("inf")), "lr must be a finite number ≥ 0, got inf"),
        (lambda: MLP(hidden_features=(20, 0)), r"MLP expects hidden_features ≥ 1, got \(20, 0\)"),
        (lambda: MLP(in_features=-1), "MLP expects in_features ≥ 1, got -1"),
        (lambda: CNN(kernel_size=0), "CNN expects kernel_size ≥ 1, got 0"),
        (lambda: CNN(padding=-1), "CNN expects padding ≥ 0, got -1"),
        (lambda: CNN(activation="rel"), "unknown activation 'rel': did you mean 'relu'"),
        (lambda: CNN(in_shape=(1, 2, 2)), r"got in_shape \(1, 2, 2\)"),
        (lambda: MLP(dropout=1.5), "between 0 and 1, but got 1.5"),
        (lambda: DigitsDataModule(batch_size=0), "batch_size must be at least 1, got 0"),
        (
            lambda: DigitsDataModule(validation=1.0).setup("fit"),
            r"validation must be a fraction in \[0, 1\), got 1.0",
        ),
        (lambda: DigitsDataModule(seed=-1), "seed must be 0 or more, got -1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    """Ids mean something else in another text, also where their number is the same."""
    data, other = ShortText(), ShortText()
    other.loaded = TextDataset.split("other", data.loaded.text.translate({ord("e"): "€"}))
    model = RNNLanguageModel(data.vocab_size, 3, 4)
    run = trainer(max_epochs=1)
    run.fit(model, datamodule=data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    assert other.vocab_size == data.vocab_size
    with pytest.raises(ValueError, match="RNNLanguageModel was trained with another vocabulary"):
        trainer().test(model, datamodule=other)
    with pytest.raises(ValueError, match="RNNLanguageModel was trained with another vocabulary"):
        trainer().test(
            RNNLanguageModel(data.vocab_size, 3, 4),
            datamodule=other,
            ckpt_path=tmp_path / "model.ckpt",
            weights_only=True,
        )


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: LSTMLanguageModel(hidden_size=0), "LSTMLanguageModel expects hidden_size ≥ 1, got 0"),
        (lambda: TransitionMatrixLM(-1), "TransitionMatrixLM expects vocab_size ≥ 1, got -1"),
        (lambda: RNNLanguageModel(dropout=2), "between 0 and 1, but got 2"),
        (lambda: RNNLanguageModel(nonlinearity="sigmoid"), "Unknown nonlinearity 'sigmoid'"),  # type: ignore[arg-type]
        (lambda: PythonDocsDataModule(chunk=0), "chunk must be at least 1, got 0"),
        (lambda: PythonDocsDataModule(batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: FewSentences(seed=-1), "seed must be 0 or more, got -1"),
        (lambda: PythonDocsDataModule(vocabulary="letters").vocab_size, "got 'letters'"),
        (lambda: ShortText(chunk=500).train_dataloader(), "the text has 901 tokens, but 3 streams"),
        (
            lambda: trainer().fit(RNNLanguageModel(9, 3, 4), datamodule=ShortText()),
            "RNNLanguageModel was built for 9 tokens, but the data has 4[0-9]: give vocab_size=4",
        ),
        (
            lambda: trainer().fit(RNNLanguageModel(9, 3, 4), datamodule=DigitsDataModule()),
            "DigitsDataModule gives labelled images, which RNNLanguageModel cannot read",
        ),
        (
            lambda: trainer().fit(MLP(), datamodule=ShortText()),
            "ShortText gives texts, which MLP cannot read",
        ),
        (
            lambda: trainer().predict(RNNLanguageModel(40), datamodule=ShortText()),
            "RNNLanguageModel writes text and predicts no classes: use scripts/generate.py",
        ),
        (
            lambda: TransitionMatrixLM(9, 3)(torch.zeros(5, 2, dtype=torch.long), torch.zeros(1, 3)),
            r"a state of shape \(2, 3\), got \(1, 3\)",
        ),
    ],
)
def test_what_cannot_be_in_text_is_refused_by_name(
    use: Callable[[], object], message: str, unchecked_types: None
) -> None:
    with pytest.raises(ValueError, match=message):
        use()


class WithoutVocabulary(pl.LightningDataModule):
    """Batches of ids, of which nothing says how many there may be."""

    continues = False

    def __init__(self, ids: Sequence[int], targets: Sequence[int]) -> None:
        super().__init__()
        self.batch = torch.tensor(ids)[:, None], torch.tensor(targets)[:, None]

    def setup(self, stage: str) -> None:
        ignore_advice()

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]  # a list will do

    val_dataloader = train_dataloader


@pytest.mark.parametrize(
    ("ids", "targets", "message"),
    [
        ([0, 9], [1, 2], r"expects ids in \[0, 9\), got 0 to 9"),
        ([-1, 3], [1, 2], r"expects ids in \[0, 9\), got -1 to 3"),
        ([0, 8], [-100, 12], r"expects targets in \[0, 9\), got 12 to 12"),
        ([0, 8], [-2, 1], r"expects targets in \[0, 9\), got -2 to 1"),
    ],
)
def test_what_is_no_symbol_is_refused(
    ids: list[int], targets: list[int], message: str, device: str, unchecked_types: None
) -> None:
    """Before it comes to a GPU, where it would end the whole process. Targets of -100 are none."""
    run = trainer(max_epochs=1, accelerator=device)
    run.fit(RNNLanguageModel(9, 3, 4), datamodule=WithoutVocabulary([0, 8], [8, -100]))
    with pytest.raises(IndexError, match="RNNLanguageModel " + message):
        trainer(accelerator=device).fit(RNNLanguageModel(9, 3, 4), datamodule=WithoutVocabulary(ids, targets))


def test_an_index_error_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """`python -m gdl_torch fit` with somebody's own data module, whose ids are too large."""
    with pytest.raises(SystemExit) as caught:
        gdl_torch(
            tmp_path, "fit", "--model=RNNLanguageModel", "--model.vocab_size=9", "--trainer.logger=false",
            f"--data={__name__}.WithoutVocabulary", "--data.ids=[9]", "--data.targets=[1]", *QUIET,
        )  # fmt: skip
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error == "error: RNNLanguageModel expects ids in [0, 9), got 9 to 9\n"
    assert not [record for record in caplog.messages if "PU available" in record]


@pytest.mark.parametrize("recipe", TEXT_RECIPES.values(), ids=TEXT_RECIPES)
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([0, 3], r"expects lengths from 1 to 3, got \[0, 3\]"),
        ([9, 1], r"expects lengths from 1 to 3, got \[9, 1\]"),
        ([2], r"expects lengths to be 2 integers.*, got torch.int64 of shape \(1,\)"),
        ([2.0, 1.0], r"expects lengths to be 2 integers.*, got torch.float32 of shape \(2,\)"),
    ],
)
def test_lengths_that_cannot_be_are_refused(
    recipe: TextRecipe, lengths: list[float], message: str, unchecked_types: None
) -> None:
    """In the words of the NumPy side."""
    model = recipe.torch_model(9)
    with pytest.raises(ValueError, match=f"{recipe.model} {message}"):
        model(torch.zeros(3, 2, dtype=torch.long), None, torch.tensor(lengths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 9}, r"was trained with .*'chunk': 10.*, not .*'chunk': 9"),
        ({"batch_size": 2}, r"was trained with .*'batch_size': 3.*, not .*'batch_size': 2"),
        ({"optimizer": torch.optim.Adam}, r"was trained with .*'optimizer': 'SGD'.*, not .*'Adam'"),
    ],
)
def test_a_run_goes_on_only_as_the_same_run(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With the data cut as it was, and the same optimizer; as on the NumPy side, it says what was and is."""

    def fit_(epochs: int, resume: bool, optimizer: Any = torch.optim.SGD, **arguments: Any) -> None:
        data = ShortText(**{"chunk": 10} | arguments)
        model = TEXT_RECIPES["LSTM"].torch_model(data.vocab_size)
        training.fit(
            model, optimizer(model.parameters(), lr=0.1), data, epochs=epochs, directory=tmp_path,
            resume=resume, accelerator="cpu", progress=False,
        )  # fmt: skip

    fit_(1, resume=False)
    with pytest.raises(CheckpointError, match=message):
        fit_(2, resume=True, **change)
    fit_(2, resume=True)
