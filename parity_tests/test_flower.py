"""A federated run on Flower, with real processes: the bits of the run in one process, whatever goes wrong."""

from __future__ import annotations

import json
import random
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.checkpoint import load_checkpoint
from gdl_numpy.federated import Participant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytest.importorskip("flwr", reason="flwr is not installed (extra federated)")


from gdl_numpy.federated.flower import bundle
from gdl_numpy.federated.flower.address import Address
from gdl_numpy.federated.flower.certificates import Certificates
from gdl_numpy.federated.flower.processes import Processes
from gdl_numpy.federated.record import rounds_in

pytestmark = [
    pytest.mark.usefixtures("unchecked_types"),  # as people run it
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for processes that are left"),
]

SCRIPT = Path(__file__).parent.parent / "scripts" / "federated.py"
main = runpy.run_path(str(SCRIPT))["main"]
KILLS = 50
FLOWER = ("--engine", "flower", "--participants", "2")
# Participants that do what each should not; the first is right.
FAULTY = """\
import os
import time
from pathlib import Path

from {learners} import learner_of

from gdl_numpy.federated.flower.client import client_app
from gdl_numpy.federated.update import Update


class Faulty:
    def __init__(self, learner, number):
        self.learner, self.number = learner, number

    def train(self, state, number):
        update = self.learner.train(state, number)
        delta = dict(update.delta)
        name = min(delta)
        if self.number == 1:
            delta[name] = delta[name] * float("nan")
        if self.number == 2:
            delta[name] = delta[name][:1]
        if self.number == 3:
            delta[name] = delta[name] + 1e9
        if self.number == 4:
            time.sleep(3600)
        if self.number == 5:
            node = Path("/proc", str(os.getppid()), "stat").read_text().split()[3]
            os.kill(int(node), 9)
        return Update(update.participant, delta, update.examples, update.loss)


def faulty(experiment, shards, number, settings):
    return Faulty(learner_of(experiment, shards, number, settings), number)


app = client_app(faulty)
"""


DYING = """\
import os
import time

from gdl_numpy.federated.flower import server


def dying(*_):
    time.sleep(1)
    os.kill(os.getpid(), 9)


server.serve = dying
app = server.server_app()
"""


BROKEN = """\
import no_such_module

app = no_such_module.app
"""


def processes_of(folder: Path) -> list[int]:
    """Those of a run in a folder: their environment says so."""
    home = f"FLWR_HOME={folder.resolve() / 'flower'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if home in variables:
                found.append(int(entry.name))
    return found


def bits(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in load_checkpoint(folder / "model.safetensors")[0].items()}


def rounds_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "rounds.json").read_text())["rounds"]
    return found


def test_the_same_bits_also_when_the_server_is_started_again_between_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A round on Flower, and in a second run of all processes another; both in one process."""
    ours, theirs = tmp_path / "local", tmp_path / "flower"
    assert main(["--participants", "2", "--rounds", "2", "--out", str(ours)]) == 0
    assert main([*FLOWER, "--rounds", "1", "--out", str(theirs)]) == 0
    assert processes_of(theirs) == []
    capsys.readouterr()
    assert main([*FLOWER, "--rounds", "2", "--out", str(theirs)]) == 0
    assert processes_of(theirs) == []
    assert "has 1 round: the next is round 2" in " ".join(capsys.readouterr().out.split())
    assert bits(theirs) == bits(ours)
    for our, their in zip(rounds_of(ours), rounds_of(theirs), strict=True):
        assert {**our, "seconds": 0} == {**their, "seconds": 0}
    assert (theirs / "flower" / "tls" / "server.key").stat().st_mode & 0o077 == 0


def test_a_round_survives_participants_that_go_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers that are none, other shapes, an absurd norm, no answer ever, a kill in mid-round."""
    monkeypatch.setattr(bundle, "CLIENT", FAULTY)
    arguments = ["--participants", "6", "--rounds", "1", "--max-norm", "100", "--timeout", "40"]
    assert main(["--engine", "flower", *arguments, "--out", str(tmp_path)]) == 0
    assert processes_of(tmp_path) == []
    (record,) = rounds_of(tmp_path)
    assert list(record["losses"]) == ["participant 1"]
    for number, reason in {
        2: "must be finite, got",
        3: "its update does not fit the model",
        4: "the norm of its update must be at most 100, got",
        5: "it did not answer within 40 s",
        6: "it did not answer within 40 s",
    }.items():
        assert reason in record["missed"][f"participant {number}"]
    said = " ".join(capsys.readouterr().out.split())
    assert "participant 6 has ended: was killed by signal 9" in said
    assert all(
        np.isfinite(each).all() for each in load_checkpoint(tmp_path / "model.safetensors")[0].values()
    )


@pytest.mark.long
def test_masks_come_off_the_sum_of_those_who_have_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has exchanged keys and shares, and then nothing to send: as in one process, bit for bit."""
    train = Participant.train

    def failing(self: Participant, state: Any, number: int) -> Any:
        if self.name == "participant 2":
            raise OSError("no power")
        return train(self, state, number)

    ours, theirs = tmp_path / "local", tmp_path / "flower"
    arguments = ["--protect", "masks", "--rounds", "1", "--out"]
    with monkeypatch.context() as patch:
        patch.setattr(Participant, "train", failing)
        assert main([*arguments, str(ours)]) == 0
    monkeypatch.setattr(bundle, "CLIENT", FAULTY.replace("self.number == 2", "False"))
    assert main(["--engine", "flower", *arguments, str(theirs)]) == 0
    (our,), (their,) = rounds_of(ours), rounds_of(theirs)
    assert "must be finite, got" in their["missed"]["participant 2"]
    assert {**our, "seconds": 0, "missed": 0} == {**their, "seconds": 0, "missed": 0}
    assert bits(theirs) == bits(ours)


@pytest.fixture
def run_script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the script as a process of its own; at the end, none is left."""
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), *arguments]
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which jobs in the background ignore
        started.append(subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=heed))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (happened := bool(what())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened


def test_ctrl_c_leaves_no_process(tmp_path: Path, run_script: Callable[..., subprocess.Popen[str]]) -> None:
    process = run_script(*FLOWER, "--rounds", "50", "--out", str(tmp_path))
    assert wait_for((tmp_path / "flower" / "logs" / "participant-2.log").exists)
    assert len(processes_of(tmp_path)) > 2
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert processes_of(tmp_path) == []


def test_a_server_that_ends_is_a_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed where it makes the rounds: the run fails with a line, and no process is left."""
    monkeypatch.setattr(bundle, "SERVER", DYING)
    assert main([*FLOWER, "--rounds", "1", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "federated.py: the server's process has ended without a word\n"
    assert processes_of(tmp_path) == []


def test_a_server_that_cannot_be_imported_is_a_failed_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken installation: only Flower knows of it, and nobody waits until the time is up."""
    monkeypatch.setattr(bundle, "SERVER", BROKEN)
    assert main([*FLOWER, "--rounds", "1", "--out", str(tmp_path)]) == 1
    reason = "ServerApp failed with exception: No module named 'no_such_module'"
    assert capsys.readouterr().err == f"federated.py: the rounds cannot begin: {reason}\n"
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protect", "paillier"], "--engine flower takes --protect none or masks, got 'paillier': for the"),
        (["--listen", "nowhere"], "--listen must be HOST:PORT, such as 192.168.1.5:9092, got 'nowhere'"),
        (["--listen", "192.0.2.1:9092"], "port 9092 of 192.0.2.1 cannot be had (Cannot assign"),
        (["--join", "127.0.0.1:1"], "--join needs --ca, the file flower/tls/ca.pem of the run's folder"),
        (["--participants", "2000"], "participants must be at most 1,437, the number of examples, got 2,000"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--engine", "flower", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("federated.py: ")
    assert error.count("\n") == 1
    assert message in error


def test_without_flower_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gdl_numpy.federated.flower.find_spec", lambda _: None)
    assert main([*FLOWER, "--out", str(tmp_path)]) == 2
    assert "needs flwr, which is not installed: pip install -e '.[federated]'" in capsys.readouterr().err


def test_a_port_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main([*FLOWER, "--listen", f"127.0.0.1:{port}", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error == f"federated.py: port {port} of 127.0.0.1 is in use: choose another --listen\n"


def test_a_file_without_certificate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("none")
    assert main(["--join", "127.0.0.1:1", "--ca", str(path)]) == 2
    reason = f"federated.py: --ca must be a certificate, {path} is none that can be read\n"
    assert capsys.readouterr().err == reason


def test_a_foreign_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that speaks no TLS, and one with a certificate of another authority."""
    ours, theirs = Certificates(tmp_path / "ours"), Certificates(tmp_path / "theirs")
    for each in (ours, theirs):
        each.make("127.0.0.1")
    address = Address.free()
    arguments = ["--join", str(address), "--ca", str(ours.authority), "--timeout", "1"]
    for options in ([], ["--certificates", str(theirs.server), str(theirs.key)]):
        with foreign_server(address, options):
            assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert f"{address} is not the server that {ours.authority} is of (" in error
        assert error.count("\n") == 1
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"federated.py: there has been no server at {address} for 1 s\n"


class foreign_server:  # noqa: N801 (a context, as a function would be)
    """A server of web pages at an address, with or without TLS."""

    def __init__(self, address: Address, options: list[str]) -> None:
        import http.server
        import ssl

        class Silent(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer((address.host, address.port), Silent)
        if options:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*options[1:])
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self) -> None:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_processes_that_were_started_by_others_end_too(tmp_path: Path) -> None:
    """Also those in sessions of their own, whose parents have ended, and that do not listen."""
    program = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'], start_new_session=True)"
    )
    with Processes(tmp_path) as processes:
        processes.start("parent", [sys.executable, "-c", program], {})
        assert wait_for(lambda: processes.ended("parent") is not None)
        assert len(processes.marked()) == 1
    assert processes.marked() == []


@pytest.mark.long
def test_fifty_kills_leave_no_process_and_lose_no_round(
    tmp_path: Path, run_script: Callable[..., subprocess.Popen[str]]
) -> None:
    """SIGKILL for the script, at any moment; a last run in peace has the bits of a run in one process."""
    moments, done, out = random.Random(0), 0, tmp_path / "flower"
    for kill in range(KILLS):
        process = run_script(*FLOWER, "--rounds", "40", "--out", str(out))
        if kill % 5 == 1:
            assert wait_for(lambda: rounds_in(out) > done, 300)  # noqa: B023 (asked at once)
        time.sleep(moments.uniform(0.2, 1.0 if kill % 5 == 1 else 20.0))
        process.kill()
        process.communicate()
        assert wait_for(lambda: not processes_of(out), 20)
        assert rounds_in(out) >= done
        done = rounds_in(out)
    assert done
    assert main([*FLOWER, "--rounds", str(done + 1), "--out", str(out)]) == 0
    assert main(["--participants", "2", "--rounds", str(done + 1), "--out", str(tmp_path / "local")]) == 0
    assert bits(out) == bits(tmp_path / "local")
