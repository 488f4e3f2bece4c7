"""Lightning's progress bar, with lines that fit the terminal, and closed when a training is interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import TQDMProgressBar

from gdl_numpy.progress import fitted_meter

if TYPE_CHECKING:
    import pytorch_lightning as pl


class FittingProgressBar(TQDMProgressBar):
    """What does not fit is left out as a whole; see `gdl_numpy.progress`."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Without the number of the run's folder, which is no result and comes first."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def init_sanity_tqdm(self) -> Any:
        return _fitting(super().init_sanity_tqdm())

    def init_train_tqdm(self) -> Any:
        return _fitting(super().init_train_tqdm())

    def init_validation_tqdm(self) -> Any:
        return _fitting(super().init_validation_tqdm())

    def init_test_tqdm(self) -> Any:
        return _fitting(super().init_test_tqdm())

    def init_predict_tqdm(self) -> Any:
        return _fitting(super().init_predict_tqdm())

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Draws no more: a bar that is not closed is drawn again when the process ends, after all else."""
        # The lower one first, since it disappears.
        for bar in (
            self._val_progress_bar,
            self._train_progress_bar,
            self._test_progress_bar,
            self._predict_progress_bar,
        ):
            if bar is not None:
                bar.close()


def _fitting(bar: Any) -> Any:
    bar.format_meter = fitted_meter
    return bar
