# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""C{python -m flocknode}: the C{flocknode} command, where it is not on the path."""

from __future__ import annotations

import sys

from flocknode.cli import main

if __name__ == "__main__":
    sys.exit(main())
