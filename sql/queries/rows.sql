-- A page change by change, for readers that give each of several subscribers its own part of it.
SELECT id, model, op::text, {item} AS item FROM ({window}) AS w ORDER BY id
