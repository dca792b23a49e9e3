-- The changes between two snapshots, after the id {last}, by id, at most {limit} of them, where the first snapshot's transactions may have
-- written at or below {seq} since. First these stragglers: {ended} are those that ran at the first snapshot and have ended since; from {first} on
-- are those that it had not seen at all. At or below {floor} every transaction had ended at the first snapshot. Then the tail above {seq}.
SELECT * FROM (
    (SELECT c.* FROM unnest({ended}::text[]::xid8[]) AS e(xid) CROSS JOIN LATERAL (
        SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
        WHERE xid = e.xid AND id > {last} AND id > {floor} AND id <= {seq} AND op <> 'E' AND {wanted}
        ORDER BY id LIMIT {limit}) AS c)
    UNION ALL
    (SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
     WHERE xid >= {first}::text::xid8 AND xid < {beyond}::text::xid8 AND pg_visible_in_snapshot(xid, {upto}::pg_snapshot)
       AND id > {last} AND id > {floor} AND id <= {seq} AND op <> 'E' AND {wanted}
     ORDER BY id LIMIT {limit})
    UNION ALL
    ({tail})
) AS changes ORDER BY id LIMIT {limit}
