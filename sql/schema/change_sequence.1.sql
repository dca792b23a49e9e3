-- The version of every change. CACHE 1: a later change of a key must have the higher number, in
-- whichever session it is made.
CREATE SEQUENCE {schema}.pubsubpull_change_id_seq AS bigint CACHE 1;
