-- Vacuum as autovacuum would during the minutes in which the other side is measured.
VACUUM (ANALYZE)
