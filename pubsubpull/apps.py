"""The app: its receivers and checks."""

from django.apps import AppConfig


class PubSubPullConfig(AppConfig):
    """Connects what pubsubpull listens to."""

    name = "pubsubpull"
    verbose_name = "Changes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers and register the checks."""
        from django.db.models.signals import post_migrate  # noqa: PLC0415  models must be loaded first

        from pubsubpull import checks  # noqa: F401, PLC0415
        from pubsubpull.capture import triggers  # noqa: PLC0415

        post_migrate.connect(triggers.after_migrate, sender=self, dispatch_uid="pubsubpull.triggers")
