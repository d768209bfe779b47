# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Forban: public folders, shared with any Forban node on the local network.

Every ten seconds a node says by UDP that it is there (L{announcement}), with a
hash of its index; whoever hears that asks it by HTTP, on the same port, for the
index (L{items}: a path and a size a line) and for files (L{names}: how a path
is written into a URL).  Nothing of it is secret: it is for boxes that their
owner has called public.

Two programs speak it beside this one, the original and goforban.  What each of
them writes, and what it stumbles over, stands in the modules where it matters.

Where there is no network, a medium with a directory C{FORBAN} carries files
(L{removable}).

What forban needs of boxes is a L{shelf.Shelf}; what it shows of them a
L{catalogue.Catalogue}.
"""
