"""The objects that Django's migrations cannot make."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    operations = (migrations.RunSQL('CREATE SCHEMA IF NOT EXISTS "Other Schema"', 'DROP SCHEMA "Other Schema"'),)
