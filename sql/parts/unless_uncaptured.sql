-- Begin a capture function: return at once if capture of the model is switched off.
-- The setting is read inline. A function call would cost every captured statement more than the
-- comparison with an empty text.
    IF current_setting('pubsubpull.uncaptured', true) <> '' THEN
        IF {schema}.pubsubpull_is_uncaptured(tg_argv[0]) THEN
            RETURN NULL;
        END IF;
    END IF;
