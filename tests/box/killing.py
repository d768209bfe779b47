# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A process that is killed: C{python -m tests.box.killing FOLDER SEED KILLS}.

Two boxes on the real disk; one is changed all the time, the other takes it
over.  A child does that and is killed by a timer at a random time; then
another child starts both boxes again, sees what is there, and says what is
wrong.  All is done by forks of one process, so that a kill costs no start of
an interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from random import Random

from tests.box.peers import Peer, exchange

NAMES = ("a", "b", "d/a", "d/b", "e/f/a", "e/f/b", "e/g")

LONGEST = 0.06
"""Seconds after which a child is killed, at most: about a dozen batches."""


def content(number: int) -> bytes:
    """A file that shows whether it is whole: some are of several blocks."""
    size = 300_000 if number % 7 == 0 else 20 + number % 1000
    return (b"%08d " % number).ljust(size, b"%c" % (33 + number % 90))


def is_whole(data: bytes) -> bool:
    """Is it one of these?"""
    return data[:8].isdigit() and data == content(int(data[:8]))


def save(peer: Peer, path: str, data: bytes) -> None:
    """As an editor does it: the user's own files must not be torn by the kill."""
    full = peer.path(path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    temporary = peer.root + b".new"
    with open(temporary, "wb") as file:
        file.write(data)
    os.rename(temporary, full)


def change(peer: Peer, random: Random, number: int) -> None:
    """One change by the user."""
    path, other = random.choice(NAMES), random.choice(NAMES)
    what = random.randrange(10)
    try:
        if what < 6:
            save(peer, path, content(number))
        elif what < 8:
            os.unlink(peer.path(path))
        else:
            os.makedirs(os.path.dirname(peer.path(other)), exist_ok=True)
            os.rename(peer.path(path), peer.path(other))
    except OSError:
        return


def run(base: str, seed: int) -> None:
    """Change and exchange, without end."""
    random = Random(seed)
    a, b = Peer(base, "a"), Peer(base, "b")
    number = seed * 1000
    while True:
        for _ in range(random.randrange(1, 6)):
            number += 1
            change(a, random, number)
        exchange(a, b)


def look(base: str, seen: str) -> None:
    """
    Start both again.

    @raise AssertionError: something is not as it must be.
    """
    at_once = {name: whole_contents(base, name) for name in ("a", "b")}
    with open(seen, encoding="ascii") as file:
        before: dict[str, list[int]] = json.load(file)
    peers = [Peer(base, name) for name in ("a", "b")]
    for peer, name in zip(peers, at_once, strict=True):
        peer.work()
        # What was about to be placed may lie in the staging directory again,
        # until it is tried once more.
        now = whole_contents(base, name) | staged(base, name)
        gone = at_once[name] - now
        assert not gone, f"gone at the start: {name} {gone}"
    exchange(*peers)
    assert peers[0].tree() == peers[1].tree(), "not level"
    assert not peers[0].engine.snapshot().conflicts, "a conflict with nobody"
    for peer, name in zip(peers, at_once, strict=True):
        assert not peer.planner.problems, "problems"
        assert not peer.index.placing(), "still placing"
        now = whole_contents(base, name)
        # Box b's folder is nobody's but the engine's: what it once held is
        # there or in its version store.
        if name == "b":
            gone = (at_once[name] | set(before[name])) - now
            assert not gone, f"gone: {gone}"
        before[name] = sorted(now)
    with open(seen, "w", encoding="ascii") as file:
        json.dump(before, file)
    for peer in peers:
        peer.kill()


def whole_contents(base: str, name: str) -> set[int]:
    """
    What lies under final names and in the version store, by number.

    @raise AssertionError: something of that is not whole.
    """
    found = set()
    for directory, names, files in os.walk(os.path.join(base, name)):
        if directory.endswith("/.flocknode"):
            names[:] = ["versions"]
            continue
        for file in files:
            path = os.path.join(directory, file)
            with open(path, "rb") as opened:
                data = opened.read()
            # Until the exchange, new content lies where the old one is to be.
            assert is_whole(data), f"not whole: {path} {len(data)}"
            found.add(int(data[:8]))
    return found


def staged(base: str, name: str) -> set[int]:
    """What lies whole in the staging directory, by number."""
    found = set()
    directory = os.path.join(base, name, ".flocknode", "staging")
    for file in os.listdir(directory):
        with open(os.path.join(directory, file), "rb") as opened:
            data = opened.read()
        if is_whole(data):
            found.add(int(data[:8]))
    return found


def forked(work: Callable[[], None]) -> int:
    """@return: the process id of a child that does it and ends."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run_until_killed(base: str, seed: int, seconds: float) -> None:
    """L{run}; after that time the system ends this process, wherever it is."""
    # Nobody handles SIGALRM, so it ends a process as SIGKILL does.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    run(base, seed)


def main(base: str, seed: int, kills: int) -> int:
    """@return: the exit code."""
    random = Random(seed)
    seen = os.path.join(base, "seen")
    with open(seen, "w", encoding="ascii") as file:
        file.write('{"a": [], "b": []}')
    for number in range(kills):
        seconds = 0.02 + random.random() * LONGEST
        child = forked(lambda: run_until_killed(base, seed + number, seconds))  # noqa: B023
        if os.WIFEXITED(os.waitpid(child, 0)[1]):
            return 1
        if os.waitpid(forked(lambda: look(base, seen)), 0)[1]:
            print(f"after kill {number + 1} of seed {seed}", file=sys.stderr)
            return 1
    with open(seen, encoding="ascii") as file:
        print(len(json.load(file)["b"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
