-- The changes of one object, by the index of keys; a truncate has taken the object with all others.
SELECT -c.id AS place, c.id, {fits} AS fits FROM (
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key = {key} AND id < {before} ORDER BY id DESC LIMIT {most})
    UNION ALL
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key IS NULL AND id < {before}
         AND id > (SELECT min(id) FROM pubsubpull_change WHERE model = {model} AND key = {key}) ORDER BY id DESC LIMIT {most})
) AS c ORDER BY c.id DESC LIMIT {most}
