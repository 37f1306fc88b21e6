"""Ports on loopback."""

import contextlib
import socket


def free_port() -> int:
    """A port that nothing listens on, for a server that a test starts."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
