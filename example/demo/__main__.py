"""Two services side by side, one following the other, on real writes.

python -m example.demo            tell the story, prove it, and stay up until Ctrl-C
python -m example.demo --break    then stop billing for 20 seconds, and show that it catches up
python -m example.demo --exit     end at once: with 0 if all of it held, else with 1
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if not __package__:  # run by its path, from wherever: the clone may not be on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

NEEDED = ("django", "gunicorn", "ninja", "psycopg", "pubsubpull", "requests", "rich")

if __name__ == "__main__":
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"The demo needs {', '.join(missing)}. `make demo` installs all of it; or: pip install -e '.[demo]'")
    from example.demo.run import main

    sys.exit(main())
