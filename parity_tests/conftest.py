"""Options of the parity suite, and run-time checks of every shape and type in a signature.

pytest --device cuda --dtype float32 --parity-json report.json
"""

from __future__ import annotations

import json
import os
import typing
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

pytest.register_assert_rewrite("parity_tests.support")  # its assertions say as much as a test's

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from parity_tests.harness import ParityReport

settings.register_profile(
    "default",
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "long", parent=settings.get_profile("default"), max_examples=1000, derandomize=False
)
settings.load_profile("default")

REPORTS = pytest.StashKey[list[dict[str, typing.Any]]]()  # in JSON's types


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity")
    group.addoption(
        "--device", choices=("cpu", "cuda", "auto"), default="auto", help="where torch computes (auto: both)"
    )
    group.addoption(
        "--dtype", choices=("float32", "float64", "both"), default="both", help="what both sides compute in"
    )
    group.addoption(
        "--parity-json", type=Path, metavar="FILE", help="write every comparison that was made to FILE"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORTS] = []
    if config.getoption("--device") == "cuda" and not cuda_is_there():
        raise pytest.UsageError("--device cuda: torch finds no CUDA device here")
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # pytest-xdist's first process: it hands tests out, and runs none
    from parity_tests.typecheck import import_packages

    import_packages()
    import torch

    # The suite's arrays are small: a second thread would cost more than it brings, above all beside other
    # processes.
    torch.set_num_threads(1)
    threadpool_limits(1)


def cuda_is_there() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "dtype" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--dtype")
        metafunc.parametrize("dtype", ["float32", "float64"] if chosen == "both" else [chosen])
    if "device" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--device")
        cuda = pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not cuda_is_there(), reason="torch finds no CUDA device here"),
        )
        devices: dict[str, list[typing.Any]] = {"auto": ["cpu", cuda], "cpu": ["cpu"], "cuda": ["cuda"]}
        metafunc.parametrize("device", devices[chosen])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests run only when asked for by name of their marker, and then with many more examples.

    Those that fork come first: pytest-xdist gives each of its processes a stretch of the whole, and only one
    has to import everything for its forks.
    """
    items.sort(key=lambda item: item.get_closest_marker("forks") is None)
    if os.name == "nt":
        for item in items:
            if item.get_closest_marker("forks"):
                item.add_marker(pytest.mark.skip(reason="forks and kills processes as POSIX has it"))
    if config.getoption("-m") == "long":
        settings.load_profile("long")
        return
    items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_runtest_setup() -> None:
    """What torch draws in a test is the same in every run, whatever ran before it."""
    import torch

    torch.manual_seed(0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    path = config.getoption("--parity-json")
    if not path:
        return
    if hasattr(config, "workeroutput"):  # one of pytest-xdist's processes: the first one will write for all
        config.workeroutput["parity"] = config.stash[REPORTS]
        return
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(json.dumps(config.stash[REPORTS]))
    partial.replace(path)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: typing.Any) -> None:
    """Collects what one of pytest-xdist's processes has compared."""
    node.config.stash[REPORTS] += getattr(node, "workeroutput", {}).get("parity", [])


@pytest.fixture
def agree(request: pytest.FixtureRequest) -> typing.Callable[[ParityReport], None]:
    """Fails with the first disagreement of a report, after noting it for --parity-json."""
    from parity_tests.harness.report import strict_json

    def noted(report: ParityReport) -> None:
        if request.config.getoption("--parity-json"):
            request.config.stash[REPORTS].append(strict_json(report.to_json()))
        report.raise_if_different()

    return noted


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """Bad input as it meets users, who run without run-time type checks: our own refusals must do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
