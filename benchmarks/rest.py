"""The same log as Django REST framework's own parts serve it: a ModelSerializer and cursor pagination."""

from __future__ import annotations

from rest_framework import generics, pagination, serializers

from pubsubpull.models import Change


class ChangeSerializer(serializers.ModelSerializer[Change]):
    class Meta:
        model = Change
        fields = ("id", "xid", "model", "key", "op", "at", "request_id", "old", "new")


class Pages(pagination.CursorPagination):
    page_size = 1000
    ordering = "id"


class Changes(generics.ListAPIView[Change]):
    queryset = Change.objects.all()
    serializer_class = ChangeSerializer
    pagination_class = Pages
    authentication_classes = ()
    permission_classes = ()
