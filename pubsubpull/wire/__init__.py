"""The texts that others read and write: operations, changes, pages, CloudEvents, signatures."""
