"""Objects that many tests make in the same way."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User

from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change


def log_in_superuser(client):
    """Log a new superuser in; return the client."""
    client.force_login(User.objects.create_superuser("boss"))
    return client


def log_in_staff(client, *codenames):
    """Log a new member of the staff in, with the permissions of these names; return the user."""
    user = User.objects.create_user("clerk", is_staff=True)
    grant(user, *codenames)
    client.force_login(user)
    return user


def grant(user, *codenames):
    """Give a user the permissions of these names."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def customers_and_users(using="default"):
    """Return (name of the customer, user) of each change of customers."""
    users = dict(Request.objects.using(using).values_list("id", "user_name"))
    changes = Change.objects.using(using).filter(model="shop.customer")
    return [((change.new or change.old)["name"], users.get(change.request_id)) for change in changes]
