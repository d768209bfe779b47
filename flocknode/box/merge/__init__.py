# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What versions of a path mean: histories are joined, several heads settle
into one, and no content is lost.  Pure.
"""
