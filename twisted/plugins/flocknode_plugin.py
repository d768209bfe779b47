# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Makes C{twistd flocknode} work.
"""

from twisted.application.service import ServiceMaker

flocknode = ServiceMaker(
    "flocknode",
    "flocknode.tap",
    "Synchronise folders with the other nodes of a flock, under cover traffic.",
    "flocknode",
)
