"""Messages as JSON, by Python's own encoder.

jupyter_client takes orjson where it is installed. orjson ends the process when memory for its buffer is refused, as the limits
of a kernel do refuse it, and sets aside ten times of what a long text needs (both seen with 3.13).
"""

from __future__ import annotations

import json
import math
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import json_packer


def packed(message: Any) -> bytes:
    """Return ``message`` as UTF-8; numbers that JSON does not have become null. Raises UnicodeEncodeError, MemoryError."""
    try:
        text = _dumps(message)
    except ValueError:
        text = _dumps(_without_nan(message))
    except TypeError:  # something else than text as a key
        return json_packer(message)
    return text.encode()


def _dumps(message: Any) -> str:
    return json.dumps(message, default=json_default, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
