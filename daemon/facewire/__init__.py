"""Facewire: talking-head video over satellite links."""

import os

# Matrices are small here. A second thread of OpenBLAS would do little, and wait for more by keeping a core busy; it is
# begun when numpy is imported, so this comes first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
