-- What autovacuum would come to in the minutes in which the other side is measured.
VACUUM (ANALYZE)
