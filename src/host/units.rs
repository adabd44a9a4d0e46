//! Room for host/units.
