"""The forms that an export can have, as plain data: parsing a command line needs no more."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["ipynb", "html", "md", "py", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
#: Less is too little for any notebook with an explanation of what is not in it.
MIN_BYTES = 20_000
