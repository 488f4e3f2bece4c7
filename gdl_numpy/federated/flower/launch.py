"""A run on Flower, from the first process to the last: the server's side, and that of who joins it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gdl_numpy.federated.flower import ENGINE, FINISHED, HOME, LOCK, OUTCOME, VARIABLE, EngineError
from gdl_numpy.federated.flower.address import Address
from gdl_numpy.federated.flower.alive import is_held
from gdl_numpy.federated.flower.bundle import write_bundle
from gdl_numpy.federated.flower.certificates import Certificates
from gdl_numpy.federated.flower.processes import Processes
from gdl_numpy.federated.flower.status import NAME as STATUS
from gdl_numpy.federated.flower.status import Status
from gdl_numpy.federated.record import MODEL, rounds_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

POLL = 0.2  # seconds between two looks at what has happened
START = 120.0  # seconds in which the server must be there
# Flower reports its use, asks for newer versions, and keeps apps and settings in the user's home folder.
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
}
CONNECTION = """\
[superlink]
default = "run"

[superlink.run]
address = "{address}"
root-certificates = {authority}
"""


class Server:
    """The server of a run, and on one machine the participants.

    Args:
        folder: of the run; all that is Flower's is in a folder of its own in there.
        settings: of the run, which every participant gets.
        timeout: seconds in which a participant must answer.
        listen: where participants join from elsewhere; None for all of them here.
        data_dir: folder of all data sets.
        say: takes a line about a process that has ended.

    Raises:
        ValueError: the address cannot be had.
        OSError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        timeout: float,
        listen: Address | None = None,
        data_dir: Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder, self.settings, self.home, self.say = folder, settings, folder.resolve() / ENGINE, say
        self.address = Address.free() if listen is None else listen
        self.address.check_free("--listen")
        self.is_alone = listen is None
        self.certificates = Certificates(self.home / "tls")
        self.certificates.make(self.address.host)
        self.told = {"folder": str(folder.resolve()), "timeout": timeout, "joined": not self.is_alone}
        self.environment = environment_of(self.home, data_dir)
        self.gone: set[str] = set()

    def run(self, centralised: Mapping[str, float], on_round: Callable[[int], None]) -> None:
        """Has the rounds made, and returns when no process of it is left.

        Args:
            centralised: what is to be written down with the rounds.
            on_round: called with how many rounds there are, when there are more.

        Raises:
            EngineError: a round could not be made, or the server has ended.
        """
        logs = self.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with Processes(logs) as processes:
            self._wait_for_the_last_one()
            self._start(processes, {**self.told, "centralised": dict(centralised)})
            self._submit(processes)
            self._watch(processes, on_round)

    def _wait_for_the_last_one(self) -> None:
        """Until no server is left of the run when it was killed; what that one said of the end is gone."""
        deadline = time.monotonic() + START
        while is_held(self.home / LOCK):
            if time.monotonic() > deadline:
                raise EngineError(f"another server is making the rounds of {self.folder}")
            time.sleep(POLL)
        (self.home / OUTCOME).unlink(missing_ok=True)

    def _start(self, processes: Processes, told: Mapping[str, Any]) -> None:
        """The server, and when it answers the participants, if they are to be here."""
        files = self.certificates
        command = ["flower-superlink", "--host", self.address.host, "--port", str(self.address.port)]
        command += ["--ssl-ca-certfile", str(files.authority), "--ssl-certfile", str(files.server)]
        command += ["--ssl-keyfile", str(files.key), "--disable-runtime-dependency-installation"]
        processes.start("server", command, {**self.environment, VARIABLE: json.dumps(told)})
        deadline = time.monotonic() + START
        while not self.address.from_here.has_server(files.authority):
            self._check_server(processes)
            if time.monotonic() > deadline:
                raise EngineError(f"the server has not come up within {START:g} s")
            time.sleep(POLL)
        for number in range(self.settings["participants"] if self.is_alone else 0):
            command = participant_command(self.address, files.authority, number + 1)
            processes.start(f"participant {number + 1}", command, self.environment)

    def _submit(self, processes: Processes) -> None:
        """Has Flower begin the run."""
        app = self.home / "app"
        write_bundle(app, self.settings)
        authority = json.dumps(str(self.certificates.authority))
        connection = CONNECTION.format(address=self.address.from_here, authority=authority)
        (self.home / "config.toml").write_text(connection)
        processes.start("submission", ["flwr", "run", str(app), "run"], self.environment)
        while (code := processes.ended("submission")) is None:
            self._check_server(processes)
            time.sleep(POLL)
        if code:
            raise EngineError(f"Flower refuses the run: {processes.last_words('submission')}")

    def _watch(self, processes: Processes, on_round: Callable[[int], None]) -> None:
        """Waits for the end."""
        begun, written, deadline = False, 0, time.monotonic() + START
        status = Status(processes, self.environment)
        while True:
            self._check_server(processes)
            self._note_who_is_gone(processes)
            with suppress(FileNotFoundError):
                if (last := (self.folder / MODEL).stat().st_mtime_ns) != written:
                    written = last
                    on_round(rounds_in(self.folder))
            is_alive = is_held(self.home / LOCK)
            begun = begun or is_alive
            if (self.home / OUTCOME).exists():
                break
            if begun and not is_alive:
                raise EngineError("the server's process has ended without a word")
            if not begun and (failure := status.failure()) is not None and not (self.home / OUTCOME).exists():
                raise EngineError(f"the rounds cannot begin: {failure}")
            if not begun and time.monotonic() > deadline:
                raise EngineError(f"the rounds have not begun within {START:g} s")
            time.sleep(POLL)
        on_round(rounds_in(self.folder))
        if (failure := json.loads((self.home / OUTCOME).read_text())["failure"]) is not None:
            raise EngineError(failure)

    def _check_server(self, processes: Processes) -> None:
        if processes.ended("server") is not None:
            raise EngineError(f"the server has ended: {processes.last_words('server')}")

    def _note_who_is_gone(self, processes: Processes) -> None:
        for name in sorted(processes.running.keys() - self.gone - {"server", "submission", STATUS}):
            if (code := processes.ended(name)) is not None:
                self.gone.add(name)
                how = f"was killed by signal {-code}" if code < 0 else processes.last_words(name)
                self.say(f"{name} has ended: {how}")


def join(
    address: Address, authority: Path, number: int, data_dir: Path | None, home: Path, patience: float
) -> None:
    """Takes part in a run whose server is elsewhere, until it is over.

    The server may not be there yet, or end and be started again: it is waited for.

    Args:
        address: of the server.
        authority: the file `ca.pem` of the run, which tells its server from others.
        number: which participant, from 1 on.
        data_dir: folder of all data sets, on this machine.
        home: folder for Flower's files.
        patience: seconds in which a server must be there.

    Raises:
        ValueError: the file cannot be used, or somebody else answers at the address.
        EngineError: there is no server, or Flower ends.
    """
    if not authority.is_file():
        raise ValueError(
            f"--ca must be the file {ENGINE}/tls/ca.pem of the run's folder, there is no {authority}"
        )
    environment = {**environment_of(home.resolve(), data_dir), HOME: str(home.resolve())}
    name = f"participant {number}"
    with Processes(home) as processes:
        (home / FINISHED).unlink(missing_ok=True)
        seen = time.monotonic()
        while not (home / FINISHED).exists():
            if address.has_server(authority):
                seen = time.monotonic()
                if name not in processes.running or processes.ended(name) is not None:
                    processes.start(name, participant_command(address, authority, number), environment)
            elif time.monotonic() - seen > patience:
                raise EngineError(f"there has been no server at {address} for {patience:g} s")
            time.sleep(1.0)


def participant_command(address: Address, authority: Path, number: int) -> list[str]:
    """What is run for a participant: a node of Flower's, which knows which one it is."""
    command = [
        "flower-supernode",
        "--superlink",
        str(address.from_here),
        "--root-certificates",
        str(authority),
    ]
    return [*command, "--port", str(Address.free().port), "--node-config", f"participant={number}"]


def environment_of(home: Path, data_dir: Path | None) -> dict[str, str]:
    """What Flower's processes have in their environment."""
    data = {} if data_dir is None else {"GDL_DATA": str(data_dir.resolve())}
    return {**ENVIRONMENT, "FLWR_HOME": str(home), **data}
