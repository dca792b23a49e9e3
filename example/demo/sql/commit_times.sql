-- Return whether the server keeps the time of each commit.
SELECT current_setting('track_commit_timestamp') = 'on'
