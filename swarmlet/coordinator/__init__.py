"""The cluster side: tokens, certificate authority, registry, scheduler, dispatcher, store, API."""
