-- The first partition; the others are made ahead by maintenance.
CREATE TABLE {schema}.pubsubpull_change_p1 PARTITION OF {schema}.pubsubpull_change
FOR VALUES FROM (1) TO (10000001);
