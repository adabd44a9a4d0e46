//! Room for the frame around every binary file: magic, version, board class, sequence, length, CRC, signature.

/// The version of the format.
pub const VERSION: u16 = 1;
