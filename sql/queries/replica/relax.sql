-- Commit without waiting for the disk. A crash that takes the commit back takes the cursor back
-- too, and the page comes again.
SET LOCAL synchronous_commit = off
