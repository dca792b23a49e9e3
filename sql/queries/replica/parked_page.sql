-- What is set aside of a replica for one key as a page, and the last version of it; NULL where
-- nothing is.
SELECT jsonb_build_object('items', coalesce(jsonb_agg(item ORDER BY version), '[]'))::text, max(version)
FROM pubsubpull_parked WHERE replica = %(replica)s AND key = %(key)s AND NOT done
