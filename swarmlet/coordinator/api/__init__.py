"""The admin API: HTTP and JSON over a unix socket, the very routes of the later remote API."""
