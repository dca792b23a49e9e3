-- The rows of some keys, all of one snapshot; those that are not there are left out.
SELECT coalesce(string_agg(i.items, ',') FILTER (WHERE i.n > 0), '')
FROM jsonb_array_elements({keys}::jsonb) AS k(parts)
     CROSS JOIN LATERAL pubsubpull_instances({relation}::regclass, {label}, {columns}::text[], pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]), {masked}::text[], NULL, NULL,
         ARRAY(SELECT jsonb_array_elements_text(k.parts)), 1) AS i
