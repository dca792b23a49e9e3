-- Forgets what was found of a model.
DELETE FROM pubsubpull_import WHERE model = {label}
