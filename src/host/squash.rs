//! Room for host/squash.
