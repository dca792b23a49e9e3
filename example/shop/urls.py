"""The shop's own API, and pubsubpull's beside it."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path
from django.views.generic import RedirectView

from example.shop import views

urlpatterns = [
    path("", views.home),
    path("admin/", admin.site.urls),
    path("customers/", views.customers, name="customers"),
    path("customers/<int:pk>/", views.customer, name="customer"),
    path("orders/", views.orders, name="orders"),
    path("orders/<int:pk>/", views.order, name="order"),
    path("pubsubpull/", include("pubsubpull.urls")),
    # Each browser asks for it, and the log would tell of an error.
    path("favicon.ico", RedirectView.as_view(url="/static/admin/img/icon-viewlink.svg")),
    # For the admin and the page that documents the API; in production a web server serves these files.
    path("static/<path:path>", serve, {"insecure": True}),
]
