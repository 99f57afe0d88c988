"""Tests of the native extension through Python; the Rust tests beside its source go deeper."""
