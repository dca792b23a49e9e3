"""The URLs of the receiving view: `path("pubsubpull/receive/", include("pubsubpull.replica.urls"))`."""

from django.urls import path

from pubsubpull.replica.push import receive

app_name = "pubsubpull_receive"
urlpatterns = [path("<slug:service>/", receive.Receive.as_view(), name="receive")]
