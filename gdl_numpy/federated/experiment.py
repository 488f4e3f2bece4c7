"""A federated run as a user describes it: who has what, what learns from it, how updates are protected."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data import DataModule, data_module_for, load
from gdl_numpy.data.batches import ExampleLoader
from gdl_numpy.federated.averaging import Plain, Protection
from gdl_numpy.federated.participant import Participant, Shard
from gdl_numpy.federated.splits import split_by_label, split_by_owner, split_by_size, split_evenly
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import kind_of
from gdl_numpy.models import MODELS
from gdl_numpy.optim import SGD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jaxtyping import Int64

    from gdl_numpy.tasks import Task

SPLITS = ("even", "label", "owner")
# What a data set of a kind is learned with, where its user names no model, and what suits that model.
MODEL_OF = {"images": "MLP", "labelled texts": "SpamClassifier"}
SUITS: dict[str, dict[str, Any]] = {"SpamClassifier": {"lr": 1.0}}
USUAL: dict[str, Any] = {"lr": 0.1, "batch_size": 32}


class Protect(StrEnum):
    """How updates are kept private."""

    none = "none"
    masks = "masks"
    paillier = "paillier"
    ckks = "ckks"
    noise = "noise"


@dataclass(frozen=True)
class Experiment:
    """What is trained, on what, with the first weights.

    Attributes:
        data: all of it; its training examples are divided, its test examples are nobody's.
        task: with the model.
        lr: learning rate.
    """

    data: DataModule
    task: Task
    lr: float

    @classmethod
    def of(
        cls,
        data: str,
        data_dir: Path | None = None,
        model: str | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
    ) -> Experiment:
        """Returns the experiment with a data set and a model by their names.

        Raises:
            ValueError: there is no such data set or model, they do not go together, or an argument is out of
                its range.
            DataError: the data are damaged, or are missing and cannot be downloaded.
        """
        dataset = load(data, data_dir)
        if model is None and dataset.kind not in MODEL_OF:
            kinds = " or ".join(MODEL_OF)
            raise ValueError(f"{dataset.name} is {dataset.kind}: choose other --data ({kinds}), or a --model")
        name = lookup("model", model or MODEL_OF[dataset.kind], {name: name for name in MODELS})
        suits = USUAL | SUITS.get(name, {})
        rate = suits["lr"] if lr is None else lr
        if not 0 < rate < np.inf:
            raise ValueError(f"--lr must be more than 0, and finite, got {rate}")
        model_class: Any = MODELS[name]
        module = data_module_for(model_class, dataset)
        wanted = {"batch_size": batch_size or suits["batch_size"], "validation": 0.0, "seed": seed}
        batches = module.fitting(dataset, **wanted, **model_class.task.data_arguments(model_class, {}))
        if not isinstance(batches.train, ExampleLoader):
            raise ValueError(
                f"{dataset.name} gives {kind_of(batches.train)}, whose examples cannot be divided: "
                "choose other --data"
            )
        names = inspect.signature(model_class).parameters
        sizes = {name: size for name, size in batches.model_arguments.items() if name in names}
        return cls(batches, model_class.task.of(model_class(**sizes, rng=seed)), rate)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], data_dir: Path | None = None) -> Experiment:
        """Returns the experiment of a run.

        Args:
            settings: of the run; those that it lacks have their usual values.
            data_dir: folder of all data sets.

        Raises:
            ValueError, DataError: as `of`.
        """
        names = ("model", "batch_size", "lr", "seed")
        given = {name: settings[name] for name in names if name in settings}
        return cls.of(settings["data"], data_dir, **given)

    def shards_of(self, settings: Mapping[str, Any]) -> list[Int64[np.ndarray, " _"]]:
        """Returns each participant's examples, as a run's settings divide them: see `shards`."""
        return self.shards(*(settings[name] for name in ("split", "participants", "alpha", "seed")))

    @property
    def train(self) -> ExampleLoader:
        """The training examples, before they are divided."""
        loader = self.data.train
        assert isinstance(loader, ExampleLoader)
        return loader

    def shards(self, split: str, participants: int, alpha: float, seed: int) -> list[Int64[np.ndarray, " _"]]:
        """Returns each participant's examples.

        Args:
            split: "even", "label", "owner", or the sizes of all shards but the last, "1000,1000".
            participants: how many there are.
            alpha: of the Dirichlet distribution, for "label".
            seed: decides who gets what.

        Raises:
            ValueError: there is no such split, it leaves a shard empty, or it is for other data.
        """
        n = self.train.n
        if split == "even":
            return split_evenly(n, participants, seed)
        if split == "label":
            return split_by_label(self._labels(), participants, alpha, seed)
        if split == "owner":
            return self._by_owner(participants)
        if not all(size.isdecimal() for size in split.split(",")):
            raise ValueError(
                f"--split must be one of {', '.join(SPLITS)}, or sizes like 1000,1000, got {split!r}"
            )
        sizes = [int(size) for size in split.split(",")]
        if len(sizes) + 1 != participants:
            raise ValueError(
                f"--split with {participants} participants must have {participants - 1} sizes, and the last "
                f"one has the rest; got {len(sizes)}"
            )
        return split_by_size(n, sizes, seed)

    def _labels(self) -> Int64[np.ndarray, " examples"]:
        _, targets = self.train.batch(np.arange(self.train.n), 0)
        if targets.ndim != 1:
            raise ValueError("--split label is for examples with one label each: choose another")
        return targets.astype(np.int64)

    def _by_owner(self, participants: int) -> list[Int64[np.ndarray, " _"]]:
        owners = getattr(getattr(self.data, "texts", {}).get("train"), "owners", None)
        if owners is None:
            raise ValueError(
                "--split owner is for data whose examples have owners, such as spam_enron, "
                f"not {self.data.name}"
            )
        count = int(owners.max()) + 1
        if participants != count:
            raise ValueError(
                f"--participants must be {count}, the owners of {self.data.name}, got {participants}"
            )
        return split_by_owner(owners)


def learner_of(
    experiment: Experiment, shards: Sequence[np.ndarray], number: int, settings: Mapping[str, Any]
) -> Participant:
    """Returns one of the participants of a run.

    Args:
        experiment: of the run.
        shards: each participant's examples.
        number: which participant, from 0 on.
        settings: of the run; `seed` and `local_epochs` are used.
    """
    seed = settings["seed"] + number
    shard = Shard(experiment.train, shards[number], seed=seed)
    optimizer = partial(SGD, lr=experiment.lr)
    return Participant(
        f"participant {number + 1}",
        shard,
        experiment.task,
        optimizer,
        epochs=settings["local_epochs"],
        seed=seed,
    )


def protection_of(
    name: str,
    *,
    key_bits: int = 2048,
    insecure_demo_keys: bool = False,
    clip_norm: float = 1.0,
    noise_multiplier: float = 1.0,
    delta: float = 1e-5,
    seed: int | None = None,
) -> Protection:
    """Returns a protection by its name, one of `Protect`.

    Args:
        name: which one; each of the other arguments is for one of them.
        key_bits: of Paillier's key.
        insecure_demo_keys: take keys that are too short.
        clip_norm: the norm that updates are scaled down to, before noise.
        noise_multiplier: the noise's standard deviation over that norm.
        delta: δ of the privacy spent.
        seed: of the noise; None for another each time.

    Raises:
        ValueError: there is no such protection, a library that it needs is not installed, or an argument is
            out of its range.
    """
    try:
        if name == "none":
            return Plain()
        if name == "masks":
            from gdl_numpy.federated.masked import Masked

            return Masked()
        if name == "paillier":
            from gdl_numpy.federated.paillier import Encrypted

            return Encrypted(key_bits, insecure_demo_keys)
        if name == "ckks":
            from gdl_numpy.federated.ckks import Approximate

            return Approximate()
        if name == "noise":
            from gdl_numpy.federated.noise import Noised

            return Noised(clip_norm, noise_multiplier, delta, rng=np.random.default_rng(seed))
    except ModuleNotFoundError as error:
        extra = "ckks" if name == "ckks" else "federated"
        raise ValueError(
            f"--protect {name} needs {error.name}, which is not installed: pip install -e '.[{extra}]'"
        ) from error
    raise ValueError(f"--protect must be one of {', '.join(Protect)}, got {name!r}")
