-- What a million rows leave to be done, done: else writing them back stalls the commits of whoever happens to be measured then.
CHECKPOINT
