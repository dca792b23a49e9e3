-- Remove columns from a model's changes between two ids. Return how many there were.
SELECT pubsubpull_forget_columns({model}, {columns}::text[], {masked}::text[], {low}, {high}, {by}, {reason})
