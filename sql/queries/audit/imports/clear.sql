-- Delete the staged changes of a model.
DELETE FROM pubsubpull_import WHERE model = {label}
