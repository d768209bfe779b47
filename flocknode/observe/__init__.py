# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a passer-by can find out: reads packets that somebody captured, or the
trace of a simulated flock, and tries to name who had news.

C{python -m flocknode.observe}; the node itself imports nothing of this.
"""
