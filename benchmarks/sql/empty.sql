-- Empty the table and the log, as on the first day.
TRUNCATE {tables} RESTART IDENTITY CASCADE
