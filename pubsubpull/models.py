"""All of the app's models, from where each belongs."""

from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change, History, Log
from pubsubpull.pull.models import Consumer
from pubsubpull.replica.models import Copy, CopyPage, CopyRange, Parked, ReplicaState
from pubsubpull.subscriptions.models import Counter, Failure, Host, Sample, SigningKey, Subscription, Worker

__all__ = [
    "Change",
    "Consumer",
    "Copy",
    "CopyPage",
    "CopyRange",
    "Counter",
    "Failure",
    "History",
    "Host",
    "Log",
    "Parked",
    "ReplicaState",
    "Request",
    "Sample",
    "SigningKey",
    "Subscription",
    "Worker",
]
