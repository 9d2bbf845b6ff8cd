from __future__ import annotations

import numpy as np
import pytest

from facewire.errors import SinkError
from facewire.sinks import open_sink


def test_counts_until_closed() -> None:
    sink = open_sink("null:", 64, 25.0)
    for _ in range(7):
        sink.show(np.zeros((64, 64, 3), np.uint8))
    assert sink.stats.shown == 7
    sink.close()
    sink.close()
    with pytest.raises(SinkError):
        sink.show(np.zeros((64, 64, 3), np.uint8))
