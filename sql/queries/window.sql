-- The changes between two snapshots, after the id {last}, by id, at most {limit} of them. First the stragglers: what was written at or
-- below {seq} by transactions that were running then ({ended}: those that have ended since; from {first} on: those that had not been seen at all).
-- Then the tail above {seq}, up to {high}. At or below {floor} every transaction had ended at the first snapshot. At or below {restored} the
-- transaction ids are those of another cluster, and each change counts as visible.
SELECT * FROM (
    (SELECT c.* FROM unnest({ended}::text[]::xid8[]) AS e(xid) CROSS JOIN LATERAL (
        SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
        WHERE xid = e.xid AND id > {last} AND id > {floor} AND id <= {seq} AND {wanted}
        ORDER BY id LIMIT {limit}) AS c)
    UNION ALL
    (SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
     WHERE xid >= {first}::text::xid8 AND xid < {beyond}::text::xid8 AND pg_visible_in_snapshot(xid, {upto}::pg_snapshot)
       AND id > {last} AND id > {floor} AND id <= {seq} AND {wanted}
     ORDER BY id LIMIT {limit})
    UNION ALL
    (SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
     WHERE id > {low} AND id <= {high} AND {wanted}
       AND (id <= {restored} OR (NOT pg_visible_in_snapshot(xid, {since}::pg_snapshot) AND pg_visible_in_snapshot(xid, {upto}::pg_snapshot)))
     ORDER BY id LIMIT {limit})
) AS changes ORDER BY id LIMIT {limit}
