"""The shop's command line: `python -m example.shop migrate`, `… pubsubpull_deliver`, and so on."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "example.shop.settings"
    execute_from_command_line(["example.shop", *sys.argv[1:]])
