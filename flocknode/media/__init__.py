# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Media that come and go: which file systems are mounted (C{mountinfo}), what a
medium is called (C{names}, C{devices}), where a folder on it is (C{places}),
and hearing of it (C{mounts}).  Knows nothing of boxes.
"""
