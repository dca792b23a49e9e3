-- Return the rows of some keys, all of the same snapshot; missing rows are left out. NULL if they
-- are too large together.
SELECT CASE WHEN count(*) FILTER (WHERE i.n > 0) <= 1 OR sum(octet_length(i.items)) <= {size}
    THEN coalesce(string_agg(i.items, ',') FILTER (WHERE i.n > 0), '') END
FROM jsonb_array_elements({keys}::jsonb) AS k(parts)
     CROSS JOIN LATERAL pubsubpull_instances(
         {relation}::regclass, {label}, {columns}::text[],
         pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
         {masked}::text[], NULL, NULL,
         ARRAY(SELECT jsonb_array_elements_text(k.parts)), 1, {size}) AS i
