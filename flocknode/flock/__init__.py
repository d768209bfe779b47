# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
flock knows time: status codes, heartbeats, the state machine, rounds, slots
and the shaper.  B{The traffic's shape is a function of what all members show
and of chance alone.}  It never looks at what is inside.
"""
