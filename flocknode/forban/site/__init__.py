# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What this node shows by HTTP, to programs and to people."""
