-- Select the changes of a user by the indexes of users and of requests: the latest request first,
-- and within it the latest change.
-- A page goes on after the change `before`, at its request's position. Only the first of a
-- request's rows counts. NOT EXISTS and coalesce stand here because the planner takes a second
-- equation for so rare that it reads and sorts all of a user's requests.
SELECT row_number() OVER (ORDER BY found.started DESC, found.id DESC) AS place, found.id, found.fits FROM (
    SELECT r.started, c.id, {fits} AS fits
    FROM pubsubpull_request r CROSS JOIN LATERAL (
        SELECT * FROM pubsubpull_change
        WHERE request_id = r.id
            AND id < CASE WHEN r.started = {started}::timestamptz THEN {before} ELSE 9223372036854775807 END
        ORDER BY id DESC LIMIT {most}) AS c
    WHERE r.user_id::varchar(255) = {user}::varchar(255)
        AND coalesce(r.user_id = {user}, false)
        AND r.started <= {started}::timestamptz
        AND (r.started, c.id) < ({started}::timestamptz, {before})
      AND NOT EXISTS (SELECT FROM pubsubpull_request e WHERE e.id = r.id AND e.xid < r.xid)
    ORDER BY r.started DESC, c.id DESC LIMIT {most}
) AS found
