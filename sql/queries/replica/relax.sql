-- The commit does not wait for the disk: should a crash take it back, it takes the cursor back too,
-- and the page comes again.
SET LOCAL synchronous_commit = off
