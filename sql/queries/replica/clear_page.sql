-- Empties the laid out page, for another in the same transaction.
DELETE FROM pg_temp.pubsubpull_page
