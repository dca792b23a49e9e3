"""The app: its receivers and checks."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class PubSubPullConfig(AppConfig):
    """Connects pubsubpull's receivers of signals, and its checks."""

    name = "pubsubpull"
    verbose_name = "Changes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers and register the checks."""
        from django.db.backends.signals import connection_created
        from django.db.models.signals import post_migrate, pre_migrate

        from pubsubpull.audit.context import announce, tasks
        from pubsubpull.capture import checks as capture_checks  # noqa: F401
        from pubsubpull.capture import unmigrated
        from pubsubpull.checks import database, publications, serving, settings  # noqa: F401
        from pubsubpull.log import migrating
        from pubsubpull.replica import checks as replica_checks  # noqa: F401

        connection_created.connect(announce.connect, dispatch_uid="pubsubpull.context")
        tasks.connect()
        pre_migrate.connect(migrating.before, sender=self, dispatch_uid="pubsubpull.triggers")
        pre_migrate.connect(unmigrated.before_migrate, sender=self, dispatch_uid="pubsubpull.unmigrated")
        post_migrate.connect(migrating.after, sender=self, dispatch_uid="pubsubpull.triggers")
        # Each app declares its events and handlers there, as its admin in admin.py.
        autodiscover_modules("events", "handlers")
