//! Room for machine/backoff: see the design.
