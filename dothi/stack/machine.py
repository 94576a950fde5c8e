"""What the machine offers: memory, disk, open files."""

import resource
import shutil
from pathlib import Path

import psutil

from dothi.errors import Refused

LEAST_FREE = 512 * 2**20
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- asked for its size, nothing is written there
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory() -> int:
    """Bytes of memory this process may count on: the machine's, or less where a container sets a limit."""
    limits = [psutil.virtual_memory().total]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no such kind of limit here, or "max"
            continue
    return min(limits)


def shared_memory() -> int:
    """Bytes that /dev/shm holds; containers often have 64 MB."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).total
    except OSError:
        return 0


def require_space(folder: Path) -> None:
    """Refuse to start where the disk is all but full."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise Refused(
            f"{folder} has {free // 2**20} MB free, the stack needs at least {LEAST_FREE // 2**20} MB to start; "
            "free some space or choose another --dir"
        )


def open_files() -> int:
    """Raise this process's limit of open files as far as allowed and return it; each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
