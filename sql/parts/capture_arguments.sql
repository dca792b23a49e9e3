-- Declare the arguments of a trigger in the functions that capture whole statements.
    label text := tg_argv[0];
    columns text[] := tg_argv[1];
    excluded text[] := tg_argv[2];
    masked text[] := tg_argv[3];
    key_column text := columns[1];
