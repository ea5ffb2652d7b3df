"""The freeze screen."""
