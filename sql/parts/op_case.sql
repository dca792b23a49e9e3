-- The text for one letter.
WHEN {letter} THEN {text}
