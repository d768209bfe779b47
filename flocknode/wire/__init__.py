# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
wire moves bytes: ZeroMQ sockets with CURVE, the allow-list, reconnection.  It
runs, together with L{flocknode.flock}, in a process of its own
(C{python -m flocknode.wire}).

The node's process imports L{flocknode.wire.child} and what that needs (C{spawn},
C{port}, C{messages}, C{log}), none of which knows ZeroMQ.  The rest belongs to
the wire process: C{__main__} starts L{flocknode.wire.process}, which brings
together the flock engine, C{sockets} (with C{connection}, C{curve} and
C{locks}), C{teller} and C{timer}.
"""
