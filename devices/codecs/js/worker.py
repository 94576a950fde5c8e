"""The process in which vendors' codecs run: requests come in by standard input, an answer per frame goes out by
standard output.

Started as a script with neither site-packages nor the project around it; it imports the standard library and the
engine alone, gives up what it does not need, and lives until its parent hangs up. A request is a length (4 bytes, big
endian) and a marshalled tuple; an answer is a letter, a length and a text:

J the codec's result as JSON, F the same from a codec that needs a fresh context for each message; E it threw; N it
returned nothing; B its result is too large; M out of memory; T out of time; L the script itself cannot be loaded;
? the script is not known here, send it along. After any of M, T and L the rest of the request is left alone, for the
parent to decide about.
"""

import marshal
import os
import resource
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

CONTEXTS = 64
ENGINE_BYTES = 8 * 1024 * 1024
ENGINE_STACK_BYTES = 256 * 1024
ENGINE_CPU_S = 0.05
LOAD_CPU_S = 0.5
ADDRESS_SPACE_BYTES = 768 * 1024 * 1024
CPU_S = 15
"""Per request, beyond what the parent lets pass: so that an orphan ends too."""
CHECKED_FIRST, CHECKED_EVERY = 8, 1024
RENEWED_EVERY = 20_000
NOBODY = 65534
LETTERS = "ENBMTL"
STOP = "MTL"

Decode = Callable[[str, int | None, float], str]


class Unloadable(Exception):
    """The script throws, or offers no function to decode with."""


def make_decode(source: str, mode: str, received: float) -> tuple[Any, Decode]:
    """A context of its own and the function that decodes in it. Raises Unloadable, engine errors."""
    context = ENGINE.Context()
    context.set_memory_limit(ENGINE_BYTES)
    context.set_max_stack_size(ENGINE_STACK_BYTES)
    load = context.eval(HARNESS)(BUFFER, received)
    context.set_time_limit(LOAD_CPU_S)
    if mode == "faithful":
        context.eval(source)
    decode = load(source if mode == "quick" else None)
    context.set_time_limit(ENGINE_CPU_S)
    if decode is None:
        raise Unloadable("no function decodeUplink, Decode or Decoder in it")
    return context, decode


class Codec:
    """One version of a codec, in a context that serves many messages; `faithful` once that has proved not to do."""

    def __init__(self, source: str) -> None:
        self.source, self.faithful, self.count, self.doubts = source, False, 0, 0
        self.quick: tuple[Any, Decode] | None = None
        self.broken = ""

    def answer(self, frame: str, port: int | None, received: float) -> str:
        """What comes of a frame: JSON, or a letter and a text."""
        if self.broken:
            return self.broken
        if self.faithful:
            return self.once(frame, port, received)
        marked = self.at_once(frame, port, received)
        said = marked.removeprefix("-")
        self.count += 1
        if self.count % RENEWED_EVERY == 0 or marked[0] in "-MT":
            self.quick = None
        if not self.faithful and self.is_doubtful(said):
            return self.checked(said, frame, port, received)
        return said

    def at_once(self, frame: str, port: int | None, received: float) -> str:
        """In the context at hand, or a new one of its kind; faithfully where the script does not load that way."""
        if self.quick is None:
            try:
                self.quick = make_decode(self.source, "quick", received)
            except (Unloadable, ENGINE.JSException) as error:
                said = fault(error)
                if said[0] in "MT":
                    return said
                self.faithful = True
                return self.once(frame, port, received)
        return run(self.quick[1], frame, port, received)

    def once(self, frame: str, port: int | None, received: float) -> str:
        """In a context that no message has seen, as a script: always right, and some hundred times slower."""
        try:
            _, decode = make_decode(self.source, "faithful", received)
        except (Unloadable, ENGINE.JSException) as error:
            said = fault(error)
            if said[0] == "E":
                self.broken = said = "L" + said[1:]
            return said
        return run(decode, frame, port, received)

    def is_doubtful(self, said: str) -> bool:
        """Whether an answer is to be compared: each at first, later the failed ones, and a sample."""
        if said[0] in "MTB":
            return False
        failed = said[0] in "EN" or '"errors":["' in said
        return self.count <= CHECKED_FIRST or self.count % CHECKED_EVERY == 0 or (failed and self.doubts < 32)

    def checked(self, said: str, frame: str, port: int | None, received: float) -> str:
        """The answer of a fresh context; from now on only such ones when it is another."""
        self.doubts += 1
        fresh = self.once(frame, port, received)
        if fresh[0] in "MT":
            return said
        if fresh != said and (fresh[0] not in "EN" or fresh[0] != said[0]):
            self.faithful, self.quick = True, None
        return fresh


def run(decode: Decode, frame: str, port: int | None, received: float) -> str:
    """A call, with what the engine itself objects to."""
    try:
        return decode(frame, port, received)
    except ENGINE.JSException as error:
        return fault(error)
    except (TypeError, ValueError) as error:  # something that the binding cannot return
        return f"E{error}"


def fault(error: Exception) -> str:
    """What the engine objects to, without the stack."""
    said = str(error).split("\n", 1)[0][:300]
    return ("T" if "interrupted" in said else "M" if "out of memory" in said else "E") + said


def serve() -> None:
    """Answer requests until the parent hangs up."""
    known: OrderedDict[str, Codec] = OrderedDict()
    while (head := receive(4)) is not None:
        request = receive(int.from_bytes(head, "big"))
        if request is None:
            return
        sha256, source, frames = marshal.loads(request)  # noqa: S302 - from the parent alone
        allow_cpu()
        if sha256 not in known:
            if source is None:
                send("?")
                continue
            known[sha256] = Codec(source)
        known.move_to_end(sha256)
        if len(known) > CONTEXTS:
            known.popitem(last=False)
        serve_frames(known[sha256], frames)


def serve_frames(codec: Codec, frames: list[tuple[bytes, int | None, float]]) -> None:
    """An answer each, sent when it is known: so the parent sees which frame this process was lost over."""
    for frame, port, received in frames:
        said = codec.answer(str([*frame]), port, received)
        letter = said[0] if said[0] in LETTERS else "F" if codec.faithful else "J"
        send(letter, said[1:] if said[0] in LETTERS else said)
        if letter in STOP:
            return


def send(letter: str, said: str = "") -> None:
    """Write an answer whole."""
    text = said.encode("utf-8", "replace")
    left = memoryview(letter.encode() + len(text).to_bytes(4, "big") + text)
    while left:
        left = left[os.write(1, left) :]


def receive(size: int) -> bytes | None:
    """Exactly so many bytes; None when the parent has hung up."""
    parts = bytearray()
    while len(parts) < size:
        part = os.read(0, min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def allow_cpu() -> None:
    """A few seconds more from here on."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(spent.ru_utime + spent.ru_stime) + CPU_S + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def give_up_rights() -> None:
    """No files, no processes, no cores, little memory, nobody's rights."""
    os.closerange(2, 256)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))
    if os.geteuid() == 0:
        with suppress(OSError):  # a container may not let it
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2, 2))  # its two pipes are open; nothing else can be


def load_engine(path: str) -> Any:
    """The engine's extension module, from its file."""
    spec = spec_from_file_location("_quickjs", path, loader=ExtensionFileLoader("_quickjs", path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: str) -> str:
    """A text file."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would double the time to start
        return file.read()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    ENGINE = load_engine(sys.argv[1])
    HARNESS, BUFFER = read(sys.argv[2]), read(sys.argv[3])
    give_up_rights()
    send("H")
    serve()
