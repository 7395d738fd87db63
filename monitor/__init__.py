"""A monitor that watches news feeds and tells analysts, once per story, what their topics call for."""

import os

# Before anything loads numpy: its matrices here are small, and two threads of OpenBLAS take ten times as long for one item.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
