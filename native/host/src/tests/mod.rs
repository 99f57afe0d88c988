//! Tests of parts that need no Python: filters, layouts, file rules.
