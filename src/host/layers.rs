//! Room for host/layers.
