-- The first partition; the others are made ahead by maintenance.
CREATE TABLE pubsubpull_change_p1 PARTITION OF pubsubpull_change FOR VALUES FROM (1) TO (10000001);
