"""Loaded last by the server that forks workers: what is loaded by then its workers go on sharing.

Python's garbage collector writes into every object that it looks at, so that each worker would soon
have a copy of its own of all that the server has loaded.
"""

import gc

gc.collect()
gc.freeze()
