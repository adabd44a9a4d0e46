//! Room for machine/container: see the design.
