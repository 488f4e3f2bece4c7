"""What a federated run leaves in its folder after each round, and how it goes on from there.

`model.safetensors` is the record: the global model, and in its metadata the settings and the rounds so far.
It is one file that is replaced in one step, so that weights and rounds belong together, whenever the run is
killed. `rounds.json` says the same for people and other programs.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from gdl_numpy.checkpoint import check_model, describe_model, load_checkpoint, save_checkpoint
from gdl_numpy.federated.rounds import Round
from gdl_numpy.files import write_json
from gdl_numpy.messages import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gdl_numpy.data import Vocabulary
    from gdl_numpy.federated.rounds import Federation
    from gdl_numpy.tasks import Metrics

ENTRY = "federated"
MODEL, ROUNDS = "model.safetensors", "rounds.json"
# What may be another when a run goes on: how many rounds there are to be, and where they are made.
FREE = frozenset({"rounds", "engine"})


def save_run(
    folder: Path,
    federation: Federation,
    settings: Mapping[str, Any],
    centralised: Mapping[str, float],
    vocabulary: Vocabulary | None = None,
) -> None:
    """Writes all that is known after a round.

    Args:
        folder: of the run.
        federation: with its rounds.
        settings: by which the run is known again.
        centralised: how good the model is that was trained in one place.
        vocabulary: of a model that reads words.

    Raises:
        OSError: the folder cannot be written to.
        ValueError: the same, for `rounds.json`.
    """
    rows = [{**asdict(each), "metrics": each.metrics.row()} for each in federation.rounds]
    content = {"settings": dict(settings), "centralised": dict(centralised), "rounds": rows}
    model = federation.task.model
    description = describe_model(model, vocabulary) | {
        ENTRY: content | {"more": federation.protection.state()}
    }
    save_checkpoint(folder / MODEL, model.state_dict(), description)
    write_json(folder / ROUNDS, content)


def resume_run(folder: Path, federation: Federation, settings: Mapping[str, Any]) -> None:
    """Brings a federation to where the run in a folder has got; one that has not begun stays as it is.

    Raises:
        CheckpointError: the record is damaged, or of another model.
        ValueError: what is there is no federated run, or one with other settings.
    """
    if not (folder / MODEL).exists():
        return
    tensors, metadata = load_checkpoint(folder / MODEL)
    other = f"{folder} has a run already{{}}: choose another with --out, or replace it with --overwrite"
    if ENTRY not in metadata:
        raise ValueError(other.format(", which is none of this kind"))
    content = metadata[ENTRY]
    try:
        names = (content["settings"] | settings).keys() - FREE
        changed = sorted(name for name in names if content["settings"].get(name) != settings.get(name))
        rounds = [_round_of(row, federation.task.metrics_class) for row in content["rounds"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the run in {folder} cannot be read ({reason_of(error)})") from error
    if changed:
        raise ValueError(other.format(f" with another {', '.join(changed)}"))
    check_model(folder / MODEL, metadata, federation.task.model)
    federation.task.model.load_state_dict(tensors)
    federation.rounds[:] = rounds
    federation.protection.restore(content.get("more", {}), len(rounds))


def rounds_in(folder: Path) -> int:
    """How many rounds the run in a folder has; 0 where there is none, or nothing that could be read."""
    try:
        return len(load_checkpoint(folder / MODEL)[1][ENTRY]["rounds"])
    except (ValueError, KeyError, TypeError):
        return 0


def _round_of(row: Mapping[str, Any], metrics_class: type[Metrics]) -> Round:
    numbers = {each.name: float(row["metrics"][each.name]) for each in fields(metrics_class)}
    return Round(**{**row, "metrics": metrics_class(**numbers)})
