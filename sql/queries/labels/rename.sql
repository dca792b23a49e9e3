-- Give the changes of a model another label, and so the other records about it.
WITH changes AS (UPDATE pubsubpull_change SET model = {to} WHERE model = {of} RETURNING 1),
erasures AS (UPDATE pubsubpull_erasure SET model = {to} WHERE model = {of} RETURNING 1),
imports AS (UPDATE pubsubpull_import SET model = {to} WHERE model = {of} RETURNING 1)
SELECT count(*) FROM changes
