# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Twins in memory of what has a disk, a network or a clock: for this project's
tests and for those of embedders.
"""
