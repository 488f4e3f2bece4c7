"""Where a server is: a host and a port; and whether it is there."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = {"0.0.0.0", "::"}
PATIENCE = 5.0  # seconds for an answer


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes:
        host: a name or an IPv4 address.
        port: from 1 to 65535.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, option: str, text: str) -> Address:
        """Returns the address of "HOST:PORT".

        Args:
            option: of the command line, for the message.
            text: what it was given.

        Raises:
            ValueError: it is none.
        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(f"{option} must be HOST:PORT, such as 192.168.1.5:9092, got {text!r}")
        return cls(host, int(port))

    @classmethod
    def free(cls) -> Address:
        """Returns one of this machine alone, with a port that nobody has."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return cls("127.0.0.1", probe.getsockname()[1])

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def from_here(self) -> Address:
        """How this machine itself reaches it."""
        return Address("127.0.0.1", self.port) if self.host in ANYWHERE else self

    def check_free(self, option: str) -> None:
        """Refuses an address that somebody else listens at, or that is not this machine's.

        Raises:
            ValueError: it cannot be had; the message names `option`.
        """
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                reason = (
                    "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
                )
                raise ValueError(
                    f"port {self.port} of {self.host} {reason}: choose another {option}"
                ) from error

    def has_server(self, authority: Path) -> bool:
        """Whether the server of a run answers there; False where nobody does.

        Args:
            authority: the certificate by which that of the run's server is checked.

        Raises:
            ValueError: somebody else answers, or the file holds no certificate.
        """
        try:
            context = ssl.create_default_context(cafile=str(authority))
        except OSError as error:  # ssl.SSLError, where it holds none
            raise ValueError(f"--ca must be a certificate, {authority} is none that can be read") from error
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        try:
            with opener.open(f"https://{self}/health", timeout=PATIENCE):
                return True
        except HTTPError as error:
            raise ValueError(f"{self} is no server of a federated run (it answers {error.code})") from error
        except URLError as error:
            if isinstance(error.reason, ssl.SSLError) and not isinstance(error.reason, ssl.SSLEOFError):
                reason = error.reason.reason
                raise ValueError(f"{self} is not the server that {authority} is of ({reason})") from error
            return False
        except OSError:
            return False
