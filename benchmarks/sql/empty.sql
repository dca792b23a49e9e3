-- As on the first day: no rows, no log.
TRUNCATE {tables} RESTART IDENTITY CASCADE
