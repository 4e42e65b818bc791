"""For all tests: signals as they are in a terminal, and no deadlines."""

import signal

from hypothesis import settings

# A shell starts what is in its background with SIGINT ignored, and every child inherits it: the
# tests that interrupt a script would wait for ever. A handler here means the default there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a kernel compiles it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
