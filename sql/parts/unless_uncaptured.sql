-- The beginning of a capture function: nothing is written where capture of the model is switched
-- off.
-- The setting is read here, since a call costs each statement more than the look at an empty text.
    IF current_setting('pubsubpull.uncaptured', true) <> '' THEN
        IF {schema}.pubsubpull_is_uncaptured(tg_argv[0]) THEN
            RETURN NULL;
        END IF;
    END IF;
