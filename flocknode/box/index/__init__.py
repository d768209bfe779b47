# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box knows, in SQLite: versions, where content is, sums.
"""
