-- Billing's pages of changes after one of them: how many, how many changes, and the last of them.
SELECT count(*), coalesce(sum(size), 0), coalesce(max(id), %(after)s) FROM billing_page WHERE kind = 'changes' AND id > %(after)s
