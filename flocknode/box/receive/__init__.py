# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Making the folder hold what the index says: finding content, staging it,
placing it.
"""
