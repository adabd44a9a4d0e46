//! Quantities as Kubernetes writes them.

use core::fmt::{self, Display};

/// A quantity of processors: `2`, `500m`.
pub struct Cpu(pub u32);

impl Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

/// A quantity of bytes, in the largest unit that holds it exactly: `64Mi`.
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let unit = if self.0 == 0 { 0 } else { self.0.trailing_zeros() / 10 };
        write!(f, "{}{}", self.0 >> (10 * unit), UNITS[unit as usize])
    }
}
