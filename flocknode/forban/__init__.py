# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Forban: public folders, shared with any Forban node on the local network.

Every ten seconds a node says by UDP that it is there, with a hash of its index;
whoever hears that asks it by HTTP, on the same port, for the index (a path and a
size a line) and for files.  Nothing of it is secret: it is for boxes that their
owner has called public.

Two programs speak it beside this one, the original and goforban.  What each of
them writes, and what it stumbles over, stands in the modules where it matters.

 - L{flocknode.forban.protocol}: what is said, as bytes and values
 - L{flocknode.forban.near}: who is there
 - L{flocknode.forban.site}: what this node shows by HTTP
 - L{flocknode.forban.fetch}: what it gets from others
 - L{flocknode.forban.media}: what it exchanges with media

What forban needs of boxes is a L{shelf.Shelf}; what it shows of them a
L{catalogue.Catalogue}, which L{publishing} makes anew when it is time.
L{service} and L{parts} put all that together.
"""
