# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{python -m flocknode.wire}: the wire process of a node, which starts it with
the port as descriptor 3.  Nobody else has a reason to.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys

from twisted.internet.main import installReactor
from twisted.internet.protocol import Factory

from flocknode.ownprocess import keep_memory
from flocknode.wire.timer import WATCHING, PunctualReactor, go_first

PORT_DESCRIPTOR = 3


def main() -> None:
    """Run until the port closes."""
    try:
        is_socket = stat.S_ISSOCK(os.fstat(PORT_DESCRIPTOR).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        sys.exit("flocknode.wire is started by a flocknode node and by nobody else.")
    keep_memory()
    reactor = PunctualReactor()
    # Before anything imports txZMQ, which takes the reactor that it finds.
    installReactor(reactor)
    from flocknode.wire.log import log_to_node
    from flocknode.wire.process import Wire

    log_to_node()
    wire = Wire(reactor, reactor.stop, schedule=go_first, watching=WATCHING)
    reactor.adoptStreamConnection(
        PORT_DESCRIPTOR, socket.AF_UNIX, Factory.forProtocol(lambda: wire.port)
    )
    os.close(PORT_DESCRIPTOR)
    # Ctrl-C and a closed terminal reach the whole process group; the node
    # decides what they mean.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: reactor.callFromThread(wire.stop))
    reactor.run(installSignalHandlers=False)
    # Nothing is left to do but to wait for ZeroMQ's threads, perhaps for ever.
    os._exit(0)


if __name__ == "__main__":
    main()
