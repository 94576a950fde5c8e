"""The process in which codecs run: what an attack costs, who pays, and what is left over."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.js import Engine, Frame, JsCodec, codec_of, decode_many
from devices.codecs.js.breaker import ASIDE_S, FORGIVEN_EVERY_S, STRIKES, Breaker
from devices.codecs.js.worker_process import Answer, cpu_seconds
from devices.rejected import Reason, Rejected

NATIVE_LOOP = "new Array(1e9) + '';"  # not interrupted by the engine's own time limit
FINE = {"fine": True}


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def codec(body: str, name: str = "test.js") -> JsCodec:
    source = "function decodeUplink(input) { if (input.bytes[0] === 0) return {data: {fine: true}}; " + body + " }"
    return codec_of(name, source.encode())


def frame(octet: int) -> Frame:
    return Frame(bytes([octet]), 1, 1.7e12)


def reasons(said: list[object]) -> list[str]:
    return [one.reason.value if isinstance(one, Rejected) else "fine" if one == FINE else str(one) for one in said]


ATTACKS = [
    ("while (true);", Reason.CODEC_TIMEOUT),
    ("while (true) { try { while (true); } catch (e) {} }", Reason.CODEC_TIMEOUT),
    ("for (;;) { try { throw 1 } finally { continue } }", Reason.CODEC_TIMEOUT),
    (NATIVE_LOOP, Reason.CODEC_TIMEOUT),
    ("/(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!');", Reason.CODEC_TIMEOUT),
    ("var a = []; while (true) a.push(1, 2, 3);", Reason.CODEC_MEMORY),
    ("var s = 'x'; while (true) s += s;", Reason.CODEC_ERROR),
    ("return {data: {a: 'x'.repeat(20000000)}};", Reason.CODEC_MEMORY),
    ("return {data: {a: new Uint8Array(200000000)}};", Reason.CODEC_MEMORY),
    ("throw {toString() { while (true); }};", Reason.CODEC_TIMEOUT),
    (
        "var e = new Error(); Object.defineProperty(e, 'stack', {get() { while (true); }}); throw e;",
        Reason.CODEC_TIMEOUT,
    ),
    ("return {data: {toJSON() { while (true); }}};", Reason.CODEC_TIMEOUT),
    ("return {data: new Proxy({a: 1}, {get() { while (true); }})};", Reason.CODEC_TIMEOUT),
    ("return {get data() { while (true); }};", Reason.CODEC_TIMEOUT),
    ("var d = {}, c = d; for (var i = 0; i < 1e6; i++) c = c.a = {}; return {data: d};", None),
    ("return {data: {a: 'x'.repeat(65000), b: '\\u0001'.repeat(60000)}};", Reason.TOO_LARGE),
    ("var p = {}; for (var i = 0; i < 15000; i++) p['k' + i] = i; return {data: p};", Reason.TOO_LARGE),
    ("function f() { return [f(), f()]; } f();", Reason.CODEC_ERROR),
    ("new Function('while (true);')();", Reason.CODEC_TIMEOUT),
    ("[1, 2].sort(function () { while (true); });", Reason.CODEC_TIMEOUT),
    ("'x'.replace(/x/, function () { while (true); });", Reason.CODEC_TIMEOUT),
]


@pytest.mark.parametrize(("body", "reason"), ATTACKS)
def test_an_attack_costs_only_its_own_message(engine: Engine, body: str, reason: Reason | None) -> None:
    said = decode_many(codec(body), [frame(0), frame(0), frame(1), frame(0), frame(0)], engine)
    assert said[:2] == said[3:] == [FINE, FINE]
    rejected = said[2]
    assert isinstance(rejected, Rejected)
    assert rejected.layer == "codec"
    assert reason is None or rejected.reason is reason
    assert "test.js" in rejected.detail
    assert "; " in rejected.detail, "says what to do"


@pytest.mark.parametrize("top", ["while (true);", NATIVE_LOOP, "var a = []; while (true) a.push(a);"])
def test_a_script_that_never_loads_costs_little(top: str) -> None:
    with_clock = Engine(Breaker())
    try:
        said = decode_many(codec_of("slow.js", (top + codec("").source).encode()), [frame(0)] * 500, with_clock)
        assert reasons(said)[-1] == "codec_put_aside"
        assert decode_many(codec("return {};"), [frame(0)], with_clock) == [FINE]
    finally:
        with_clock.close()


class Stalling:
    """A worker on a machine that takes the core away when it is at one of these frames, so many times."""

    pid = 0

    def __init__(self, stalls: dict[int, int]) -> None:
        self.stalls, self.ran = stalls, 0

    def answers(self, _: JsCodec, frames: Sequence[Frame]) -> Iterator[Answer]:
        for one in frames:
            self.ran += 1
            octet = one.payload[0]
            self.stalls[octet] = self.stalls.get(octet, 0) - 1
            if self.stalls[octet] >= 0:
                yield Answer("T", b"interrupted")
                return
            yield Answer("J", b'{"data": {"fine": true}}')


@given(st.dictionaries(st.integers(0, 29), st.integers(0, 3)))
def test_who_runs_out_of_time_once_is_run_again(stalls: dict[int, int]) -> None:
    strikes: list[str] = []
    breaker = Breaker()
    breaker.strike = strikes.append  # type: ignore[method-assign]
    engine, worker = Engine(breaker), Stalling(dict(stalls))
    engine._worker = worker  # type: ignore[assignment]
    slow = [stalls.get(octet, 0) > 1 for octet in range(30)]
    said = reasons(decode_many(codec(""), [frame(octet) for octet in range(30)], engine))
    assert said == ["codec_timeout" if out else "fine" for out in slow]
    assert len(strikes) == sum(slow)
    assert worker.ran == 30 + sum(times > 0 for times in stalls.values())


def test_a_killed_worker_is_replaced_and_nobody_pays(engine: Engine) -> None:
    source = codec("")
    assert decode_many(source, [frame(0)], engine) == [FINE]
    for _ in range(3):
        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert decode_many(source, [frame(0)] * 3, engine) == [FINE] * 3
        assert engine.pid != first


def kill_at_work(pid: int, spent: float) -> None:
    """Kill it once it has computed longer than any message but a loop takes; unless its limit came first."""
    until(lambda: gone(pid) or cpu_seconds(pid) > spent + 0.1, 60)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def test_a_worker_killed_at_work_costs_the_message_it_was_at(engine: Engine) -> None:
    source = codec(NATIVE_LOOP)
    decode_many(source, [frame(0)], engine)
    pid = engine.pid
    assert pid is not None
    killing = threading.Thread(target=kill_at_work, args=(pid, cpu_seconds(pid)))
    killing.start()
    said = decode_many(source, [frame(0), frame(1), frame(0)], engine)
    killing.join()
    assert reasons(said) in (["fine", "codec_crash", "fine"], ["fine", "codec_timeout", "fine"])


def test_a_stopped_worker_does_not_stall() -> None:
    engine = Engine(wall_limit_s=0.5)
    source = codec("return {data: {fine: true}};")
    decode_many(source, [frame(0)], engine)
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    big = Frame(bytes(200), 1, 1.7e12)
    said = decode_many(source, [big] * 1000, engine)
    engine.close()
    assert reasons(said) == ["codec_timeout", *["fine"] * 999]


def test_a_codec_that_fails_again_and_again_is_put_aside_and_others_go_on(engine: Engine) -> None:
    bad, good = codec("while (true);"), codec("return {data: {}};")
    said = reasons(decode_many(bad, [frame(1)] * 3000, engine))
    assert said == ["codec_timeout"] * STRIKES + ["codec_put_aside"] * (3000 - STRIKES)
    assert reasons(decode_many(bad, [frame(0)], engine)) == ["codec_put_aside"]
    assert decode_many(good, [frame(0)], engine) == [FINE]


def test_the_breaker_forgives_in_time_and_is_stricter_with_relapses() -> None:
    now = [1000.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(STRIKES - 1):
        breaker.strike("a")
    assert breaker.aside_s("a") == 0
    breaker.strike("a")
    assert breaker.aside_s("a") == pytest.approx(ASIDE_S)
    assert breaker.aside_s("b") == 0
    now[0] += ASIDE_S
    assert breaker.aside_s("a") == 0
    breaker.strike("a")
    assert breaker.aside_s("a") == pytest.approx(2 * ASIDE_S)
    now[0] += 2 * ASIDE_S + STRIKES * FORGIVEN_EVERY_S + 1
    breaker.strike("a")
    assert breaker.aside_s("a") == 0


def test_rare_offenders_never_put_a_codec_aside() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(100):
        now[0] += FORGIVEN_EVERY_S
        breaker.strike("a")
    assert breaker.aside_s("a") == 0


def test_more_codecs_than_contexts(engine: Engine) -> None:
    codecs = [
        codec_of(f"{n}.js", f"function decodeUplink() {{ return {{data: {{n: {n}}}}} }}".encode()) for n in range(80)
    ]
    for _ in range(2):
        assert [decode_many(one, [frame(0)], engine)[0] for one in codecs] == [{"n": n} for n in range(80)]
    assert engine.pid is not None
    assert psutil.Process(engine.pid).memory_info().rss < 120e6


def test_hoarding_codecs_together_stay_bounded(engine: Engine) -> None:
    body = "String.prototype.kept = 'x'.repeat(1 << 22); function decodeUplink() {{ return {{data: {{n: {n}}}}} }}"
    for n in range(100):
        decode_many(codec_of(f"{n}.js", body.format(n=n).encode()), [frame(0)], engine)
    assert engine.pid is None or psutil.Process(engine.pid).memory_info().rss < 800e6
    assert decode_many(codec("", "after.js"), [frame(0)], engine) == [FINE]


def test_the_worker_has_nothing_but_its_pipes(engine: Engine, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        decode_many(codec(""), [frame(0)], engine)
    assert engine.pid is not None
    assert sorted(entry.name for entry in Path(f"/proc/{engine.pid}/fd").iterdir()) == ["0", "1"]
    worker = psutil.Process(engine.pid)
    assert worker.num_threads() == 1
    limits = Path(f"/proc/{engine.pid}/limits").read_text()
    for name, most in (
        ("processes", 0),
        ("open files", 2),
        ("file size", 0),
        ("core file size", 0),
        ("address space", 1 << 30),
    ):
        found = re.search(rf"Max {name}\s+(\d+)", limits)
        assert found, name
        assert int(found[1]) <= most, name
    if os.geteuid() == 0:
        assert worker.uids().effective != 0
    else:
        assert "PATH" not in worker.environ()


def test_threads_share_one_worker(engine: Engine) -> None:
    source = codec("return {data: {n: input.bytes[0]}};")

    def many(octet: int) -> list[object]:
        return decode_many(source, [frame(octet)] * 300, engine)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(many, range(1, 9))) == [[{"n": n}] * 300 for n in range(1, 9)]


SCRIPT = """
import os, sys
from devices.codecs.js import ENGINE, Frame, codec_of, decode_many
source = codec_of("t.js", b"function decodeUplink(i) { if (i.bytes[0]) for (;;); return {data: {a: 1}} }")
fine = lambda: decode_many(source, [Frame(b"\\0", 1, 0.0)] * 400) == [{"a": 1}] * 400
assert fine()
print(ENGINE.pid, flush=True)
"""


def run(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT + script], stdout=subprocess.PIPE, text=True)


def until(done: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while not done() and time.monotonic() < ends:
        time.sleep(0.02)
    return done()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def worker_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_a_fork_uses_a_worker_of_its_own() -> None:
    process = run("""
child = os.fork()
mine = ENGINE.pid
ok = fine()
if child == 0:
    os._exit(0 if ok and mine is None else 1)
assert os.waitpid(child, 0)[1] == 0
assert ok and fine() and ENGINE.pid == mine
""")
    worker = worker_of(process)
    process.communicate()
    assert process.returncode == 0
    assert until(lambda: gone(worker), 60)


def test_processes_side_by_side() -> None:
    processes = [run("assert all(fine() for _ in range(20))") for _ in range(3)]
    workers = {worker_of(process) for process in processes}
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(workers) == 3
    assert until(lambda: all(map(gone, workers)), 60)


def test_the_worker_ends_when_its_parent_is_killed() -> None:
    process = run("sys.stdin.read() if False else __import__('time').sleep(60)")
    worker = worker_of(process)
    process.kill()
    process.communicate()
    assert until(lambda: gone(worker), 60)


@pytest.mark.full
def test_a_worker_in_a_loop_ends_too_when_its_parent_is_killed() -> None:
    process = run(f"""
import signal
os.kill(ENGINE.pid, 0)
loop = codec_of("l.js", b"function decodeUplink(i) {{ {NATIVE_LOOP} }}")
decode_many(loop, [Frame(b"1", 1, 0.0)])
""")
    worker = worker_of(process)
    assert until(lambda: cpu_seconds(worker) > 0.2, 60)
    process.kill()
    process.communicate()
    assert until(lambda: gone(worker), 600)  # its processor time is bounded, whoever else is at work
