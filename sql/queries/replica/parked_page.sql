-- Return a replica's parked changes for a key as a page, and the last version of it; NULL if there
-- are none.
SELECT jsonb_build_object('items', coalesce(jsonb_agg(item ORDER BY version), '[]'))::text, max(version)
FROM pubsubpull_parked WHERE replica = %(replica)s AND key = %(key)s AND NOT done
