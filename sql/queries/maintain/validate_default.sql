-- Validate the bound.
SELECT pubsubpull_validate_default()
