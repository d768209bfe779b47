# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
flocknode: folders kept equal on every machine of a flock, so that nobody who
watches the network can tell who added, changed or fetched what.
"""

__version__ = "0.1.0"
