-- Takes a small page, WITH its name first, by which a context knows that this writes.
WITH taken AS (
    SELECT pubsubpull_take_page({service}, {names}, {concerned}, {before}, {upto}, {tables}, {body}) AS here
)
SELECT here
FROM taken
