"""Stands where the bundle of authorities would be: this image verifies nothing with it, and has none."""


def where():
    """Return a path at which nothing is."""
    return "/usr/share/no-authorities-in-this-image.pem"


def contents():
    """Return no authority."""
    return ""
