# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The subcommands of C{flocknode}, a module each: C{add(commands)} declares it.
"""
