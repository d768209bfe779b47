# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
exchange knows what each member has and needs: it asks for blocks, answers and
spreads the load.  It speaks records and knows nothing of time but what it is
told.
"""
