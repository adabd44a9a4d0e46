//! Room for agent: see the design.
