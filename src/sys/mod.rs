//! Room for sys: see the design.
