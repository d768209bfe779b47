# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The folder on disk: reading it, and putting things into it so that nothing is
lost, whatever happens meanwhile.  Knows nothing of versions of others.
"""
