"""The engine that sends changes to subscriptions, in order, at least once, by a lease."""
