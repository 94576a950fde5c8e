"""What a message costs the broker, with and without what the stack loads before it: CPU seconds per 100,000, by turns.

    python -m tests.bench.polling [--messages 200000] [--rounds 3]

Four connections send at QoS 1 as fast as they are answered, a bare reader takes and acknowledges.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.ingest import QUEUES, cpu_s
from tests.bench.ingest_parts import CONNECTIONS, Sending, send_all
from tests.bench.packets import Load
from tests.mosquitto import mosquitto


def send_share(sendings: list[Sending]) -> None:
    """A process that sends."""
    asyncio.run(send_all(sendings))


def cost(folder: Path, messages: int, plain: bool) -> float:
    """CPU seconds of one broker per 100,000 messages."""
    ready, done = folder / f"ready-{time.monotonic_ns()}", folder / f"done-{time.monotonic_ns()}"
    with mosquitto(folder, QUEUES, plain) as broker:
        said = {"url": broker.url, "areas": ["213"], "messages": messages, "ready": str(ready), "done": str(done)}
        reader = subprocess.Popen([sys.executable, "-m", "tests.bench.ingest_parts", "bare", json.dumps(said)])
        while not ready.exists():
            time.sleep(0.02)
        assert broker.process
        load, each = Load("json", 100_000, "213", time.time_ns() // 1_000_000, 0.0, 0), messages // CONNECTIONS
        sendings = [Sending(broker.url, load, number * each, each, 0) for number in range(CONNECTIONS)]
        before = cpu_s([broker.process.pid])
        sender = multiprocessing.get_context("spawn").Process(target=send_share, args=(sendings,))
        sender.start()
        sender.join()
        while not done.exists():
            time.sleep(0.02)
        spent = cpu_s([broker.process.pid]) - before
        reader.terminate()
        reader.wait()
    return spent / messages * 1e5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.rounds):
            plain, loaded = (cost(Path(folder), asked.messages, plain) for plain in (True, False))
            figures = {"plain": round(plain, 3), "loaded": round(loaded, 3), "ratio": round(loaded / plain, 3)}
            sys.stdout.write(json.dumps({**figures, "load": round(os.getloadavg()[0], 1)}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
