"""The servers that the black-box tests share: one process for each variant, and one that has little patience."""

import pytest

from tests.servers.served import all_served, eventually

SHORT = {"idle_s": 1.0, "header_s": 0.5, "body_s": 0.5, "reader_s": 0.6, "linger_s": 0.5, "connections": 300}


def _shared(**limits):
    """A fixture value: a server of each variant that runs here, by name."""
    with all_served(**limits) as running:
        yield running
        for name, server in running.items():
            assert server.process.poll() is None, f"{name} has ended with {server.process.returncode}"
            assert eventually(server.at_rest), f"{name} has sockets left of clients that have gone"


@pytest.fixture(scope="session")
def patient_servers():
    yield from _shared()


@pytest.fixture(scope="session")
def impatient_servers():
    yield from _shared(**SHORT)
