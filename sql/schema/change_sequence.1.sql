-- Gives every change its version. CACHE 1: for one key, a later change must have the higher number,
-- whichever session makes it.
CREATE SEQUENCE {schema}.pubsubpull_change_id_seq AS bigint CACHE 1;
