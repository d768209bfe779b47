# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How fast the Forban site is, and what it takes: C{python -m benchmarks.site}.

One large file on loopback, in turns with nginx if that is installed; the memory
of the process while many take the file slowly, plain and by TLS; and how long
the indexes of many files take, at first and again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.siteserver import LARGE

NGINX = """\
daemon off; worker_processes 1; pid {top}/pid; error_log {top}/log;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {top}/1; proxy_temp_path {top}/2; fastcgi_temp_path {top}/3;
  uwsgi_temp_path {top}/4; scgi_temp_path {top}/5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
"""As Debian has it, with one worker; it serves the same file."""

READ = 1 << 20
"""Bytes that a client takes at a time."""

HOSTS = 4
"""Addresses from which slow readers come, since one may have only so many
connections."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, until it is not needed any more."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def take(port: int, path: str) -> tuple[int, float]:
    """Bytes of an answer, and the seconds in which it came."""
    connection = socket.create_connection(("127.0.0.1", port))
    began = time.perf_counter()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    buffer = bytearray(READ)
    size = 0
    is_first = True
    while taken := connection.recv_into(buffer):
        if is_first and buffer[9:12] != b"200":
            raise SystemExit(f"{path}: {buffer[:60]!r}")
        is_first = False
        size += taken
    connection.close()
    return size, time.perf_counter() - began


def processor(process: int) -> float:
    """Seconds of processor time that a process and its children have taken."""
    ticks = 0
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = task.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if process in (int(task.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def throughput(port: int, process: int, nginx: tuple[int, int] | None, runs: int) -> None:
    """
    The large file, in turns.

    @param nginx: its port and process.
    """
    servers = [("site", port, process, f"/s/?g={LARGE}")]
    if nginx is not None:
        servers.append(("nginx", *nginx, f"/{LARGE}"))
    rates: dict[str, list[float]] = {}
    costs: dict[str, float] = {}
    for _ in range(runs):
        for name, at, whose, path in servers:
            before = processor(whose)
            size, seconds = take(at, path)
            rates.setdefault(name, []).append(size / seconds / 1e6)
            spent = (processor(whose) - before) / (size / 1e9)
            costs[name] = costs.get(name, 0.0) + spent / runs
    for name, found in rates.items():
        each = ", ".join(f"{rate:.0f}" for rate in found)
        print(f"large file, {name}: {each} MB/s; {costs[name]:.2f} s of processor for a GB")
    if nginx is not None:
        ratios = [ours / its for ours, its in zip(*rates.values(), strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"large file, ratios to nginx: {each}; median {statistics.median(ratios):.2f}")


def resident(process: int) -> float:
    """MB of memory that a process has."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def slow_readers(what: str, port: int, process: int, readers: int, is_tls: bool) -> None:
    """What it costs that many take the large file, and stop."""
    before = resident(process)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connections: list[socket.socket] = []
    for number in range(readers):
        at = (f"127.0.0.{2 + number % HOSTS}", 0)
        one = socket.create_connection(("127.0.0.1", port), source_address=at)
        if is_tls:
            one = context.wrap_socket(one)
        one.sendall(f"GET /s/?g={LARGE} HTTP/1.1\r\n\r\n".encode())
        connections.append(one)
    most = 0.0
    for _ in range(20):
        for one in connections:
            if not one.recv(16_384):
                raise SystemExit("a slow reader was cut off")
        most = max(most, resident(process))
    for one in connections:
        one.close()
    print(f"{readers} slow readers, {what}: {most - before:.1f} MB (of {most:.0f} MB in all)")


def indexes(port: int, runs: int) -> None:
    """First and again."""
    for name in ("forban/index", "forban/index.jsonl"):
        size, first = take(port, f"/s/?g={name}")
        again = [take(port, f"/s/?g={name}")[1] for _ in range(runs)]
        print(
            f"{name}, {size / 1e6:.1f} MB: first {first * 1000:.0f} ms, "
            f"again {statistics.median(again) * 1000:.1f} ms (median of {runs})"
        )
    for uri in ("/", "/q/?v=file+9999", "/q/?v=nowhere"):
        take(port, uri)
        again = [take(port, uri)[1] for _ in range(runs)]
        print(f"{uri}: {statistics.median(again) * 1000:.1f} ms (median of {runs})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--files", type=int, default=50_000, help="in the index")
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="site-"))
    try:
        measure(top, options)
    finally:
        shutil.rmtree(top)


def measure(top: Path, options: argparse.Namespace) -> None:
    """All of it."""
    # The workers of nginx are somebody else.
    top.chmod(0o755)
    box = top / "box"
    box.mkdir()
    with open(box / LARGE, "wb") as file:
        for _ in range(options.size):
            file.write(os.urandom(1 << 20))
    with serving(box, options.files) as (_, port, _):
        indexes(port, options.runs * 3)
    # Another process: what the indexes took says nothing of readers.
    for what in ("plain", "TLS"):
        with serving(box, 0) as (process, port, encrypted):
            take(port, "/")
            is_tls = what == "TLS"
            at = encrypted if is_tls else port
            slow_readers(what, at, process, options.readers, is_tls)
    with serving(box, 0) as (process, port, _):
        if shutil.which("nginx"):
            other = free_port()
            config = top / "nginx.conf"
            config.write_text(NGINX.format(top=top, port=other, root=box))
            with running("nginx", "-c", str(config)) as nginx:
                wait_for(other)
                throughput(port, process, (other, nginx.pid), options.runs)
        else:
            print("nginx is not installed: no ratios.")
            throughput(port, process, None, options.runs)


@contextmanager
def serving(box: Path, files: int) -> Iterator[tuple[int, int, int]]:
    """A site in a process of its own: its id, its port, and that of TLS."""
    port, encrypted = free_port(), free_port()
    module = "benchmarks.siteserver"
    arguments = (str(box), str(port), str(encrypted), str(files))
    with running(sys.executable, "-m", module, *arguments) as process:
        wait_for(port)
        wait_for(encrypted)
        yield process.pid, port, encrypted


if __name__ == "__main__":
    main()
