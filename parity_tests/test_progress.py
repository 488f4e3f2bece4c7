"""Progress bars on terminals of any width: no number is ever cut, and nothing is drawn after the end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytorch_lightning.callbacks import TQDMProgressBar

from gdl_numpy.data import load
from gdl_numpy.data.images import ImageDataModule
from gdl_numpy.models import MLP
from gdl_numpy.progress import Bar, fitted_meter
from gdl_numpy.tasks import Classification
from gdl_numpy.training import evaluate
from gdl_torch import models as torch_models
from gdl_torch.data import DigitsDataModule
from gdl_torch.interrupts import plain_ctrl_c
from gdl_torch.progress import FittingProgressBar
from parity_tests.support import WARNINGS_OF_LIGHTNING, trainer

pytestmark = WARNINGS_OF_LIGHTNING

RESULTS = "loss 0.5123, accuracy 83.21%; validation loss 0.4321, accuracy 88.88%"
LIGHTNING = TQDMProgressBar.BAR_FORMAT


@pytest.mark.parametrize("width", [*range(25, 140), 0, -1])
@pytest.mark.parametrize(("form", "total"), [(None, 259), (LIGHTNING, 259), (LIGHTNING, None)])
def test_a_line_fits_and_has_whole_fields(width: int, form: str | None, total: int | None) -> None:
    more: dict[str, Any] = {"prefix": "epoch 3/10", "unit": "step", "bar_format": form, "postfix": RESULTS}
    line = fitted_meter(123, total, 10.0, ncols=width, **more)
    assert width < 1 or len(line) <= width
    whole = fitted_meter(123, total, 10.0, **more)
    known = {*re.findall(r"\d[\d.]*", whole)}
    assert {*re.findall(r"\d[\d.]*", line)} <= known
    assert line.count("[") == line.count("]")
    if width < 1:
        assert RESULTS in line


@pytest.mark.parametrize(("width", "kept"), [(120, RESULTS), (80, "accuracy 83.21%"), (60, "loss 0.5123")])
def test_what_goes_first_is_the_rate_and_then_the_last_results(width: int, kept: str) -> None:
    line = fitted_meter(123, 259, 10.0, ncols=width, prefix="epoch 3/10", unit="step", postfix=RESULTS)
    assert f"{kept}]" in line
    assert "step/s" not in line


class Interrupting(torch_models.MLP):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 3:
            raise KeyboardInterrupt
        return super().training_step(batch, batch_idx)


def test_lightnings_bar_ends_with_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not closed by then is drawn again when Python removes it, after the last message."""
    bar = FittingProgressBar(refresh_rate=1, leave=True)
    training = trainer(max_epochs=1, enable_progress_bar=True, callbacks=[bar])
    with pytest.raises(KeyboardInterrupt), plain_ctrl_c():
        training.fit(Interrupting(64, (5,)), datamodule=DigitsDataModule())
    assert bar.train_progress_bar.disable, "it is closed"
    capsys.readouterr()
    bar.train_progress_bar.refresh()
    del bar, training
    assert capsys.readouterr().out == ""


def test_the_bar_of_an_evaluation_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ImageDataModule(load("digits"))
    data.setup()
    bars: list[Any] = []

    def enter(bar: Bar) -> Bar:
        bars.append(bar)
        return bar

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "__enter__", enter)
    monkeypatch.setattr(MLP, "forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Classification(MLP(64, (5,), 10, rng=0)), data.test, progress=True)
    (bar,) = bars
    assert bar.disable
