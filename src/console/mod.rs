//! Room for console: see the design.
