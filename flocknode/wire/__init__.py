# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
wire moves bytes: ZeroMQ sockets with CURVE, the allow-list, reconnection.  It
runs, together with L{flocknode.flock}, in a process of its own
(C{python -m flocknode.wire}).  Only L{flocknode.wire.port} and
L{flocknode.wire.child} are imported by the node's process.
"""
