"""Billing's command line: `python -m example.billing migrate`, `… follow_shop`, and so on."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "example.billing.settings"
    execute_from_command_line(["example.billing", *sys.argv[1:]])
