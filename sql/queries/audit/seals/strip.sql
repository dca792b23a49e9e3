-- Delete the lists of the seals whose changes retention has deleted. Their digests stay.
UPDATE pubsubpull_seal SET ids = NULL, times = NULL, leaves = NULL, salts = NULL
WHERE ids IS NOT NULL
    AND newest < {before}
    AND (kind = 'changes' AND last_id <= {dropped} OR kind = 'imported' AND last_id < {past})
