"""Carries out what it is told with epoll, a line of JSON each time, and says what it saw: the child of test_polling."""

import json
import select
import socket
import sys
from typing import Any

PAIRS = 4


class World:
    """Some pairs of sockets, and an epoll that watches one side of each."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.pairs = [self.pair() for _ in range(PAIRS)]

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """A new one, which does not block."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return ours, theirs

    def step(self, what: str, which: int, events: int) -> Any:
        """One operation."""
        ours, theirs = self.pairs[which]
        match what:
            case "register":
                self.poll.register(ours, events)
            case "modify":
                self.poll.modify(ours, events)
            case "unregister":
                self.poll.unregister(ours)
            case "send":
                theirs.send(b"x")
            case "read":
                return len(ours.recv(1))
            case "close":
                ours.close()
                theirs.close()
                self.pairs[which] = self.pair()
            case "hang up":
                theirs.shutdown(socket.SHUT_RDWR)
            case "wait":
                files = {pair[0].fileno(): place for place, pair in enumerate(self.pairs)}
                return sorted((files[file], said) for file, said in self.poll.poll(0))
        return None

    def end(self) -> None:
        """Close all."""
        for pair in self.pairs:
            for one in pair:
                one.close()
        self.poll.close()


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        world, seen = World(), list[Any]()
        for what, which, events in json.loads(line):
            try:
                seen.append(world.step(what, which, events))
            except OSError as error:
                seen.append(error.errno)
        world.end()
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
