# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What Forban nodes say to each other, as bytes and values.  Pure."""
