#!/bin/sh
# Print the path of a Python that Threadbook runs on: $PYTHON if set, else the newest of those on PATH.
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    "$name" -c '
import sys
if not (3, 11) <= sys.version_info[:2] < (3, 14):
    sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)' 2>/dev/null && exit 0
done
echo "Threadbook needs Python 3.11, 3.12 or 3.13 and found none${PYTHON:+ in PYTHON=$PYTHON}; install one, or name it: make PYTHON=/path/to/python" >&2
exit 1
