-- Makes the default partition one of a range, and begins another.
SELECT pubsubpull_adopt_default({below})
