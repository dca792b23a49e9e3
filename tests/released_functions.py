"""The texts that migrations run, pinned by digest: an edit of a released one would change no deployed database.

`python -m tests.released_functions` writes the table anew.
"""

from __future__ import annotations

import hashlib
import json
import pathlib

from pubsubpull.capture import schema, sql

TABLE = pathlib.Path(__file__).with_suffix(".json")


def digests():
    """Return the digest of each file of `sql/schema/`, by its name, with the shared parts that it is run with."""
    files = sorted(name.removeprefix("schema/") for name in sql.names("schema"))
    return {file: hashlib.sha256(schema.text(file, "log").encode()).hexdigest() for file in files}


def pinned():
    """Return the digests of the table."""
    return json.loads(TABLE.read_text())


def write():
    """Write the table anew."""
    TABLE.write_text(json.dumps(digests(), indent=0) + "\n")


if __name__ == "__main__":
    write()
