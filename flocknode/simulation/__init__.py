# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A flock of many nodes in virtual time: the real flock engine and exchange, on
machines and lines that exist in memory only.  See C{docs/simulation.md}.
"""
