"""Files that were damaged, or made to do harm, are refused.

By every command line that reads them: with exit code 2 and one line that names the file. Nothing in them is
run, nothing beside them is changed, and none takes memory that it does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from parity_tests.support.damage_runs import GOOD, corpus, faults_in, make_originals
from parity_tests.support.forks import needs_forks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from parity_tests.support.damage import Damaged

pytestmark = needs_forks

SAMPLE = 60
# What would run code, or take gigabytes: how such damages are named.
WORST = (
    *(
        "calls os.system",
        "calls evil_module.MLP for arguments",
        "hyper_parameters._class_path: 'evil_module.MLP'",
    ),
    *("hyper_parameters._instantiator", "hparams.hidden_size: 20000", "hparams.vocab_size: 100000000"),
    *("hparams.num_layers: 1000000", "a deflated bomb for data.pkl", "a deflated bomb for data/0"),
    *("a tensor 10 billion", "hyper_parameters.vocab_size: 100000000", "a weight: expanded"),
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    make_originals(folder)
    return folder


def assert_refused(readings: Sequence[tuple[Damaged, str]], originals: Path, folder: Path) -> None:
    """By each reader its file; what was not is in `faults.txt`, with the commands that repeat it."""
    faults = faults_in(readings, originals, folder)
    told = [f"{kind}, {len(where)} times:\n  " + "\n  ".join(where) for kind, where in faults.items()]
    (folder / "faults.txt").write_text("\n".join(told))
    few = [f"{kind}, {len(where)} times, such as {where[0]}" for kind, where in faults.items()]
    assert not few, "\n".join([*few, f"all: {folder / 'faults.txt'}"])


def test_a_sample_is_refused(originals: Path, tmp_path: Path) -> None:
    """Some of whatever kind, and one of each that would do the worst."""
    rng = np.random.default_rng(0)
    files = [file for good in GOOD for file in corpus(originals, good, by_chance_each=1)]
    assert len(files) > 1000, "which are read in the long form"
    chosen = [files[n] for n in rng.choice(len(files), SAMPLE - len(WORST), replace=False)]
    for kind in WORST:
        of_kind = [file for file in files if file.name.startswith(kind)]
        chosen.append(of_kind[int(rng.integers(len(of_kind)))])
    assert_refused([(file, str(rng.choice(file.readers))) for file in chosen], originals, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("good", GOOD)
def test_all_are_refused(good: str, originals: Path, tmp_path: Path) -> None:
    """Each by all who read such files."""
    files = corpus(originals, good, by_chance_each=8)
    readings = [(file, reader) for file in files for reader in file.readers]
    assert_refused(readings, originals, tmp_path)
