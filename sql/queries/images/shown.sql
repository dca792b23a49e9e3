-- An image of a change without its model's columns hidden by now.
CASE {cases} ELSE {data} END
