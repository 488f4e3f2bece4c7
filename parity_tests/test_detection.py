"""`scripts/detection.py` as people run it, and that what it compares is what it says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from parity_tests.detection.mistakes import MISTAKES, SUBTLE, Mistake
from parity_tests.detection.random_cases import CASES, Configuration
from parity_tests.detection.rules import RULES, Versions, same
from parity_tests.detection.twins import TWINS, Twins, linear
from parity_tests.detection.verdicts import OURS, accusers, tensors
from parity_tests.harness import check
from parity_tests.harness.layer_cases import Draw, Example, LayerCase

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run it; and planted code has no types

main: Callable[[list[str]], int] = runpy.run_path(
    str(Path(__file__).parent.parent / "scripts" / "detection.py")
)["main"]

FOUND_BY_ALL = Mistake(TWINS[0], next(m.plant for m in MISTAKES if m.plant.new == "-rows.T @ x"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.__globals__, "TWINS", TWINS[:2])
    monkeypatch.setitem(main.__globals__, "MISTAKES", [FOUND_BY_ALL, SUBTLE[0]])


# Subtle mistakes


@pytest.mark.parametrize("mistake", SUBTLE, ids=str)
def test_a_subtle_mistake_is_found(mistake: Mistake, dtype: str) -> None:
    """In every dtype in which it is one; in float32 too, where the bounds of long sums are wide."""
    if dtype in mistake.dtypes:
        check(*mistake.right.make(), dtype=dtype, steps=0).raise_if_different()
        assert not check(*mistake.wrong(), dtype=dtype, steps=0).ok


# The rules


def test_same_is_torchs() -> None:
    """For errors around the limit, in tensors small and large."""
    from torch._dynamo.utils import same as torchs

    rng = np.random.default_rng(0)
    answers = []
    for shape in [(10,), (2000,), (3, 400, 1, 1)] * 40:
        exact = 10 * rng.standard_normal(shape)
        reference, ours = (
            (exact + 2e-3 * factor * rng.standard_normal(shape)).astype(np.float32)
            for factor in (1.0, rng.uniform(0, 5))
        )
        versions = Versions(exact, reference, ours)
        answers.append(same(versions))
        ref, res, fp64_ref = map(torch.from_numpy, (reference, ours, exact))
        assert answers[-1] == torchs(ref, res, fp64_ref, log_error=lambda *_: None)
    assert 20 < sum(answers) < 100


@pytest.mark.parametrize("name", RULES)
def test_every_rule_accuses_and_acquits(name: str) -> None:
    rule, _ = RULES[name]
    exact = np.random.default_rng(0).standard_normal((20, 30))
    reference = exact.astype(np.float32)
    assert rule(Versions(exact, reference, reference.copy()))
    assert not rule(Versions(exact, reference, -reference))
    assert not rule(Versions(exact, reference, np.full_like(reference, np.nan)))
    assert not rule(Versions(exact, reference, np.zeros_like(reference)))


def test_they_are_asked_about_the_layers_within_too() -> None:
    """Of a residual block: its own output and gradients, and those of its three layers."""
    found = list(tensors(SUBTLE[-1].right.make(), np.dtype(np.float32)))
    assert len(found) == (2 + 4) + (2 + 2) + 2 + (2 + 2)
    for versions in found:
        assert versions is not None
        assert versions.exact.dtype == np.float64
        assert versions.reference.dtype == versions.ours.dtype == np.float32
        assert versions.reference is not versions.ours
        np.testing.assert_allclose(versions.ours, versions.exact, rtol=1e-3, atol=1e-3)


def test_what_a_side_lacks_or_refuses_everyone_accuses() -> None:
    lacking = next(m for m in MISTAKES if m.plant.new == "self.bias is None").plant
    assert accusers(Mistake(TWINS[0], lacking).wrong(), "float32") == {OURS, *RULES}
    assert accusers(Mistake(TWINS[0], lacking).right.make(), "float32") == set()


# The script


@pytest.mark.usefixtures("few")
def test_rules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    assert main(["rules", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "check finds all that any other rule finds, and accuses no right twin." in out
    rows = {name: out.split(name)[1].split("\n")[0].replace("│", " ").split() for name in (OURS, *RULES)}
    assert rows[OURS] == ["2", "2", "0", "0"]
    assert rows["cosine above 0.999"] == ["1", "1", "0", "0"]  # one bias of a hundred turns it too little
    assert rows["twice the reference's error"][1] == "–"
    content = json.loads(path.read_text())
    assert [result["dtype"] for result in content] == ["float32", "float64"]
    assert content[0]["finders"][str(FOUND_BY_ALL)] == sorted([OURS, *RULES])
    assert list(content[0]["accusers"].values()) == [[], [], []]


@pytest.mark.usefixtures("few")
def test_a_mistake_that_only_another_rule_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(main.__globals__, "accusers", lambda *a: accusers(*a) - {OURS})
    assert main(["rules", "--dtype", "float64"]) == 1
    out = capsys.readouterr().out
    assert f"Missed in float64: {SUBTLE[0]}; found by " in out
    assert "check finds all" not in out


@pytest.mark.usefixtures("few")
def test_right_twins_that_are_accused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is said of them, were they right."""
    monkeypatch.setitem(main.__globals__, "TWINS", [Twins("these", FOUND_BY_ALL.wrong)])
    assert main(["rules", "--dtype", "float32"]) == 1
    assert "Accused in float32: these." in capsys.readouterr().out


def test_random(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of the registries has its turn; a wrong one is told with its seed, which makes it again."""
    last = len(CASES) - 1
    assert main(["random", "--count", str(len(CASES))]) == 0
    assert (
        f"0 false alarms in {len(CASES)} random configurations, seeds 0 to {last}" in capsys.readouterr().out
    )

    def wrong(draw: Draw, rng: np.random.Generator) -> Example:
        return FOUND_BY_ALL.wrong()

    monkeypatch.setitem(CASES, "Linear", LayerCase("Linear", wrong))
    assert main(["random", "--count", "3", "--seed", str(len(CASES))]) == 1
    out = capsys.readouterr().out
    assert f"seed {len(CASES)}: Linear (float64, cpu): " in out
    assert "1 false alarm in 3 random configurations" in out


def test_a_seed_makes_the_same_configuration_again() -> None:
    def numbers(seed: int) -> Any:
        example = Configuration(seed).example()
        assert example is not None
        return [*example.numpy_module.state_dict().values(), example.inputs]

    for a, b in zip(numbers(0), numbers(0), strict=True):
        np.testing.assert_array_equal(a, b)
    assert numbers(0)[0].shape != numbers(len(CASES))[0].shape


def test_a_configuration_that_cannot_be_checked_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception ends the hunt."""

    def broken(draw: Draw, rng: np.random.Generator) -> Example:
        return linear(3, 4, 5).make()._replace(torch_module=torch.nn.Linear(3, 2))

    monkeypatch.setitem(CASES, "Linear", LayerCase("Linear", broken))
    assert str(Configuration(0).alarm()).startswith("Linear (float32): ValueError: ")
