# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Processes that hash files of one folder, for as long as a survey needs them.

Threads of one process are no substitute where files are of some hundred KiB:
for each of them they give up the interpreter's lock seven times, and have to
get it back from whoever compares, or writes the index, meanwhile.

Nothing depends on these processes: what they do not answer, for whatever
reason, is hashed by whoever asked.
"""

from __future__ import annotations

import marshal
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial

import blake3

import flocknode
from flocknode.box.survey import hashprogram
from flocknode.box.survey.hashprogram import LENGTH, Asked, Reply, frame

_LOOK = 100
# Milliseconds between looks whether to stop.

_READ = 1 << 16
# Bytes that are read in one go: what a pipe holds.


def command(root: int, python: str = sys.executable) -> list[str]:
    """How a process is started; see L{flocknode.box.survey.hashprogram}."""
    folders = {
        os.path.dirname(os.path.dirname(os.path.abspath(package.__file__ or "")))
        for package in (flocknode, blake3)
    }
    program = os.path.abspath(hashprogram.__file__)
    return [python, "-I", "-S", program, flocknode.__version__, str(root), *sorted(folders)]


class _Process:
    """
    One of them.  Neither reading nor writing waits.

    @raise OSError: it cannot be started.
    """

    def __init__(self, root: int, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(root,),
            # A Ctrl-C is meant for whoever asks, who closes the input.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests = self._process.stdin.fileno()
        self.replies = self._process.stdout.fileno()
        os.set_blocking(self.requests, False)
        os.set_blocking(self.replies, False)
        self.unsent = bytearray()
        self._received = bytearray()

    def write(self) -> None:
        """
        Send what it takes now.

        @raise OSError: it has ended.
        """
        try:
            while self.unsent:
                del self.unsent[: os.write(self.requests, self.unsent)]
        except BlockingIOError:
            pass

    def read(self) -> list[tuple[int, Reply]]:
        """
        What it has answered since.

        @raise OSError: it has ended.
        """
        try:
            data = os.read(self.replies, _READ)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError
        received = self._received
        received += data
        found = []
        while len(received) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(received)[0]
            if len(received) < end:
                break
            found.append(marshal.loads(bytes(received[LENGTH.size : end])))
            del received[:end]
        return found

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


class HashProcesses:
    """
    Belongs to the thread that surveys.

    @param root: a descriptor of the folder.
    @param count: how many.
    @param cancelled: asked while they are waited for; if so, they are ended.
    @param command: that starts one; by default L{command}.
    """

    def __init__(
        self,
        root: int,
        count: int,
        cancelled: Callable[[], bool],
        command: Sequence[str] = (),
    ) -> None:
        self._root = root
        self._count = count
        self._cancelled = cancelled
        self._command = command
        self._processes: list[_Process] = []
        self._started = False
        self._next = 0
        self._waiting: dict[int, _Process] = {}
        self._replies: dict[int, Reply] = {}

    @property
    def running(self) -> bool:
        """Is there one that has not failed?"""
        return bool(self._processes)

    def close(self) -> None:
        """End them.  They are not started again.  Idempotent."""
        self._started = True
        for process in self._processes:
            process.close()
        self._processes.clear()
        self._waiting.clear()

    def ask(self, bunches: Sequence[Sequence[Asked]]) -> range:
        """
        Have them begin with these, each with some.

        @return: what L{replies} is to be asked for, a number for each bunch.
        """
        self._start()
        numbers = range(self._next, self._next + len(bunches))
        self._next = numbers.stop
        if self._processes:
            for number, bunch in zip(numbers, bunches, strict=True):
                process = self._processes[number % len(self._processes)]
                process.unsent += frame((number, list(bunch)))
                self._waiting[number] = process
        for process in tuple(self._processes):
            self._do(process, process.write)
        return numbers

    def replies(self, numbers: range) -> list[Reply | None]:
        """
        Wait until these are done.

        @return: for each; L{None}: nobody did it.
        """
        while any(number in self._waiting for number in numbers):
            self._exchange()
            if self._cancelled():
                self.close()
        return [self._replies.pop(number, None) for number in numbers]

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        try:
            for _ in range(self._count):
                self._processes.append(_Process(self._root, self._command or command(self._root)))
        except (OSError, ValueError):
            # As many as there are; whoever asks can do without.
            return

    def _exchange(self) -> None:
        """Write and read what can be, or wait for a moment."""
        poll = select.poll()
        ways: dict[int, tuple[_Process, Callable[[], None]]] = {}
        for process in self._processes:
            poll.register(process.replies, select.POLLIN)
            ways[process.replies] = process, partial(self._take, process)
            if process.unsent:
                poll.register(process.requests, select.POLLOUT)
                ways[process.requests] = process, process.write
        for descriptor, _ in poll.poll(_LOOK):
            process, way = ways[descriptor]
            if process in self._processes:
                self._do(process, way)

    def _take(self, process: _Process) -> None:
        for number, reply in process.read():
            self._replies[number] = reply
            self._waiting.pop(number, None)

    def _do(self, process: _Process, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError:
            # It has ended: what it did not answer is not waited for.
            process.close()
            self._processes.remove(process)
            for number in [each for each, by in self._waiting.items() if by is process]:
                del self._waiting[number]
