//! Room for host/lower.
