-- Take a small page. WITH comes first: this tells a context that the statement writes.
WITH taken AS (
    SELECT pubsubpull_take_page({service}, {names}, {concerned}, {before}, {upto}, {tables}, {body}) AS here
)
SELECT here
FROM taken
