# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Removable media with a directory C{FORBAN}."""
