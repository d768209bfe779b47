# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Asking neighbours for their indexes and files, and bringing those into boxes."""
