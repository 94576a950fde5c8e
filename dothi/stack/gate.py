"""What the broker loads, compiled where it is needed: by the private runtime's tiny compiler, or the host's own."""

import shutil
import struct
import subprocess
from pathlib import Path

from dothi.errors import Refused
from dothi.runtime import Runtime

SOURCES = Path(__file__).parents[2] / "devices/gate"
COMPILERS = ("tcc", "cc", "gcc", "clang")
PT_GNU_STACK, PF_READ_WRITE = 0x6474E551, 6
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def compile_gate(runtime: Runtime, target: Path) -> None:
    """Compile the plugin into `target`. Raises Refused when there is no compiler, or it refuses."""
    compile_c(runtime, SOURCES / "gate.c", target)


def compile_polling(runtime: Runtime, target: Path) -> None:
    """Compile what makes the broker poll at less cost, to be loaded before it, into `target`. Raises Refused."""
    compile_c(runtime, SOURCES / "polling.c", target)


def compile_c(runtime: Runtime, source: Path, target: Path) -> None:
    """One source into a shared object. Raises Refused when there is no compiler, or it refuses."""
    made = subprocess.run(
        [*compiler(runtime), "-shared", "-nostdlib", "-fPIC", "-o", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        reason = made.stderr.strip().splitlines() or ["no reason given"]
        raise Refused(f"the broker's {source.stem} cannot be compiled: {reason[-1]}")
    target.write_bytes(without_executable_stack(target.read_bytes()))


def compiler(runtime: Runtime) -> list[str]:
    """How to call a C compiler; the C library's headers are not needed."""
    if runtime.tcc:
        return [str(runtime.tcc), f"-B{next(runtime.tcc.parents[1].glob('lib/*/tcc'))}"]
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if not found:
        raise Refused("the broker's gate needs a C compiler; as root: apt-get install tcc (0.3 MB)")
    return [found]


def without_executable_stack(library: bytes) -> bytes:
    """A shared object that says that it needs no executable stack.

    tcc 0.9.27 says nothing, and without a word the loader takes the worst and refuses it (glibc 2.41). A table of
    program headers may stand anywhere in the file, so a longer copy goes to its end.
    """
    offset = int.from_bytes(library[32:40], "little")
    size, count = struct.unpack_from("<HH", library, 54)
    headers = library[offset : offset + size * count]
    kinds = [struct.unpack_from("<I", headers, at)[0] for at in range(0, len(headers), size)]
    if PT_GNU_STACK in kinds:
        return library
    padded = library + bytes(-len(library) % 16)
    head = bytearray(padded)
    struct.pack_into("<Q", head, 32, len(padded))
    struct.pack_into("<H", head, 56, count + 1)
    return bytes(head) + headers + PROGRAM_HEADER.pack(PT_GNU_STACK, PF_READ_WRITE, 0, 0, 0, 0, 0, 16)
