//! Room for host/boards.
