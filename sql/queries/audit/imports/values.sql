-- Return values that another package wrote as texts, by column, each with its JSON in the log; NULL
-- if a text is no value of its column.
SELECT v.name, v.value,
    pubsubpull_past_value(
        v.value, format_type(a.atttypid, CASE WHEN y.typcategory = 'N' THEN a.atttypmod END)
    )
FROM unnest({names}::text[], {values}::text[]) AS v (name, value)
JOIN pg_attribute a ON a.attrelid = {table}::regclass AND a.attname = v.name
JOIN pg_type y ON y.oid = a.atttypid
