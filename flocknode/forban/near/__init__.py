# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Who is there: announcing this node, and hearing the others."""
