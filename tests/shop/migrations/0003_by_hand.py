"""The partitioned table, and the user's own row trigger."""

from django.db import migrations

EVENTS = """
CREATE TABLE shop_event (
    region text NOT NULL, number integer NOT NULL, text text NOT NULL, PRIMARY KEY (region, number)
)
PARTITION BY LIST (region);
CREATE TABLE shop_event_north PARTITION OF shop_event FOR VALUES IN ('north');
CREATE TABLE shop_event_rest PARTITION OF shop_event DEFAULT;
"""

NUMBERS = """
CREATE FUNCTION shop_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop_account SET number = 'A' || new.id WHERE id = new.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER number AFTER INSERT ON shop_account FOR EACH ROW EXECUTE FUNCTION shop_number();
"""


class Migration(migrations.Migration):
    dependencies = (("shop", "0002_models"),)
    operations = (
        migrations.RunSQL(EVENTS, "DROP TABLE shop_event"),
        migrations.RunSQL(NUMBERS, "DROP FUNCTION shop_number() CASCADE"),
    )
