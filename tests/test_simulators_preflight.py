"""What a run needs is asked before anything is sent, and each thing that is too small has a line with what to raise."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.preflight import (
    SPARE_FILES,
    Listener,
    Machine,
    check_gateways,
    check_sockets,
    listeners_of,
    machine,
    open_files_of,
    processes_for,
    refusal,
)

GB = 2**30
ROOMY = Machine(20_000, (32768, 60999), None, 16 * GB, 4)


def three(devices: int, files: int | None = 20_000) -> list[Listener]:
    return [Listener(f"broker 127.0.0.1:{port}", devices, files) for port in (1883, 1884, 1885)]


def test_forty_five_thousand_fit_where_twenty_thousand_files_may_be_open() -> None:
    assert processes_for(45_000, ROOMY) == 3
    assert check_sockets(45_000, three(15_000), ROOMY) == []
    assert refusal([]) is None


@pytest.mark.parametrize(
    ("here", "listeners", "said"),
    [
        (ROOMY._replace(memory=GB // 8), three(15_000), ["memory: 128 MB free, about ", "MB needed"]),
        (ROOMY._replace(files=256), three(15_000), ["cores: 4, 235 processes", "256 open files", "ulimit -n"]),
        (ROOMY, three(15_000, 1024), ["broker 127.0.0.1:1883: takes 960 devices (the open files of its process)"]),
        (
            ROOMY._replace(sources=1, ports=(32768, 40767)),
            three(15_000),
            ["ports: 8,000 to one broker", "ip_local_port_range = 32768 40767", "15,000 needed", "sysctl -w"],
        ),
        (ROOMY._replace(ports=(5, 4)), three(15_000), ["ports: none in net.ipv4.ip_local_port_range = 5 4"]),
    ],
)
def test_what_is_too_small_is_named_with_what_to_raise(
    here: Machine, listeners: list[Listener], said: list[str]
) -> None:
    told = refusal(check_sockets(45_000, listeners, here))
    assert told is not None
    for words in said:
        assert words in told


def test_more_processes_than_asked_for_are_not_taken_behind_ones_back() -> None:
    told = refusal(check_sockets(45_000, three(15_000), ROOMY, processes=2))
    assert told == (
        "open files of a process: 20,000 allowed (hard limit of `ulimit -n`), 22,564 needed for 45,000 connections in "
        "2 processes; raise it with `ulimit -Hn 22564` as root, or simulate fewer devices here (--shard)"
    )


def test_tls_needs_more_memory_and_has_listeners_of_its_own() -> None:
    tight = ROOMY._replace(memory=GB)
    assert check_sockets(45_000, three(15_000), tight) == []
    assert check_sockets(45_000, three(15_000), tight, tls=True) != []
    few = [listener._replace(most=6_325) for listener in three(15_000)]
    assert "takes 6,325 devices (max_connections of its listener)" in (refusal(check_sockets(45_000, few, ROOMY)) or "")


def test_gateways_need_little() -> None:
    assert check_gateways(6, 3_700_000, ROOMY) == []
    told = refusal(check_gateways(500, 3_700_000, ROOMY._replace(files=256, memory=GB // 2)))
    assert told is not None
    assert [line.split(":")[0] for line in told.splitlines()] == ["open files of a process", "memory"]


@given(connections=st.integers(1, 200_000), files=st.integers(SPARE_FILES + 1, 1_000_000), cores=st.integers(1, 64))
def test_no_process_has_more_connections_than_files(connections: int, files: int, cores: int) -> None:
    here = ROOMY._replace(files=files, cores=cores)
    many = processes_for(connections, here)
    assert many >= 1
    assert -(-connections // many) + SPARE_FILES <= files


@given(factor=st.floats(1.0, 50.0), connections=st.integers(1, 200_000))
def test_what_is_enough_is_enough_with_more(factor: float, connections: int) -> None:
    small = Machine(5_000, (32768, 40767), 2, GB, 4)
    big = small._replace(files=int(small.files * factor), memory=int(small.memory * factor), cores=int(4 * factor))
    doors = [Listener("broker a", connections, None)]
    if not check_sockets(connections, doors, small):
        assert not check_sockets(connections, doors, big)


def test_this_machine_is_as_it_says() -> None:
    here = machine()
    assert here.files > 0
    assert here.ports[0] < here.ports[1]
    assert here.memory > 0
    assert (here.cores, here.sources) == (os.cpu_count(), None)
    assert machine(is_local=False).sources == 1
    assert open_files_of(os.getpid()) is not None
    assert open_files_of(2**22 + 1) is None
    doors = listeners_of(["a", "b"], [5, 6], [os.getpid(), 2**22 + 1])
    assert [door.files for door in doors] == [open_files_of(os.getpid()), None]


def test_a_lowered_limit_is_seen() -> None:
    """In a process of its own, as nobody gets the hard limit back."""
    program = """
import resource
from simulators.preflight import Listener, check_sockets, machine, refusal
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
print(refusal(check_sockets(5000, [Listener("broker a", 5000)], machine(), processes=2)))
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert told.startswith("open files of a process: 512 allowed (hard limit of `ulimit -n`), 2,564 needed for 5,000 ")
