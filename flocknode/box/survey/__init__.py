# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What happens in the folder: watching, comparing it with the index, hashing;
what is found becomes versions.
"""
