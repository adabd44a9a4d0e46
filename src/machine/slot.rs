//! Room for machine/slot: see the design.
