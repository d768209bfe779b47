# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
box knows files: it watches and scans a folder, keeps its index, decides which
of two versions is newer or whether they conflict, puts received content into
the folder safely and keeps old versions.  It knows nothing of peers; a
I{holder} here is sixteen opaque bytes.
"""
