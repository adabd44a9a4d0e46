//! Room for the one semantic check, for workstation and board.
