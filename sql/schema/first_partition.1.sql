-- The first partition. Maintenance makes the others ahead.
CREATE TABLE {schema}.pubsubpull_change_p1 PARTITION OF {schema}.pubsubpull_change
FOR VALUES FROM (1) TO (10000001);
