//! Kubernetes quantities (`500m`, `128Mi`, `1e3`), read exactly and rounded up as Kubernetes does.

use core::fmt;

/// A quantity, exact: `digits` · 10^`ten` · 2^`two`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    digits: u128,
    ten: i32,
    two: u32,
}

/// Why a text is not a quantity, or not one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    /// It does not follow the grammar.
    Malformed,
    /// It is below zero.
    Negative,
    /// It is larger than what the board can count.
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuantityError::Malformed => {
                "not a quantity: write a number, perhaps with one of the suffixes m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei"
            }
            QuantityError::Negative => "below zero",
            QuantityError::TooLarge => "larger than what the board can count",
        })
    }
}

impl core::error::Error for QuantityError {}

/// The most significant digits that are kept: 10^19 · 2^60 still fits in 128 bits.
const DIGITS: usize = 19;

/// Reads `text`.
pub fn quantity(text: &str) -> Result<Quantity, QuantityError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(QuantityError::Malformed);
    }
    let (ten, two) = self::suffix(suffix).ok_or(QuantityError::Malformed)?;
    let fraction = fraction.trim_end_matches('0');
    let significant = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0');
    let mut digits: u128 = 0;
    for (n, digit) in significant.enumerate() {
        if n == DIGITS {
            return Err(QuantityError::TooLarge);
        }
        digits = digits * 10 + u128::from(digit - b'0');
    }
    if negative && digits > 0 {
        return Err(QuantityError::Negative);
    }
    let places = i32::try_from(fraction.len()).map_err(|_| QuantityError::Malformed)?;
    Ok(Quantity { digits, ten: ten.saturating_sub(places), two })
}

/// The powers of ten and of two that a suffix stands for.
fn suffix(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (exponent.parse().ok()?, 0)
        }
    })
}

impl Quantity {
    /// The number of whole units, rounded up.
    pub fn units(self) -> Result<u64, QuantityError> {
        self.scaled(0)
    }

    /// The number of thousandths of a unit, rounded up.
    pub fn thousandths(self) -> Result<u64, QuantityError> {
        self.scaled(3)
    }

    /// Whether there is a part of a unit left over.
    pub fn is_fractional(self) -> bool {
        match (self.scaled(0), self.scaled(3)) {
            (Ok(units), Ok(thousandths)) => units.checked_mul(1000) != Some(thousandths),
            _ => false,
        }
    }

    /// The value · 10^`more`, rounded up.
    fn scaled(self, more: i32) -> Result<u64, QuantityError> {
        let power = |exponent: i32| u32::try_from(exponent).ok().and_then(|e| 10u128.checked_pow(e));
        let binary = self.digits << self.two;
        if binary == 0 {
            return Ok(0);
        }
        let ten = self.ten.saturating_add(more);
        let value = if ten >= 0 {
            power(ten).and_then(|p| binary.checked_mul(p)).ok_or(QuantityError::TooLarge)?
        } else {
            power(-ten).map_or(1, |p| binary.div_ceil(p))
        };
        // Kubernetes counts in signed 64 bits.
        u64::try_from(value).ok().filter(|v| i64::try_from(*v).is_ok()).ok_or(QuantityError::TooLarge)
    }
}

/// `text` as a number of bytes.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    quantity(text)?.units()
}

/// `text` as thousandths of a processor.
pub fn milli(text: &str) -> Result<u32, QuantityError> {
    u32::try_from(quantity(text)?.thousandths()?).map_err(|_| QuantityError::TooLarge)
}

/// `bytes` as the shortest quantity that is exact.
pub fn from_bytes(bytes: u64) -> std::string::String {
    const SUFFIXES: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let exact = SUFFIXES.iter().find(|(_, power)| bytes != 0 && bytes.is_multiple_of(1 << power));
    match exact {
        Some((suffix, power)) => std::format!("{}{suffix}", bytes >> power),
        None => std::format!("{bytes}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_is_read_exactly() {
        let cases = [
            ("0", 0),
            ("1", 1),
            ("+7", 7),
            ("-0", 0),
            ("128Mi", 128 << 20),
            ("1.5Gi", 3 << 29),
            ("0.5Ki", 512),
            (".5Ki", 512),
            ("5.", 5),
            ("64M", 64_000_000),
            ("1k", 1000),
            ("2G", 2_000_000_000),
            ("3T", 3_000_000_000_000),
            ("4P", 4_000_000_000_000_000),
            ("5E", 5_000_000_000_000_000_000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("12e-1", 2),
            ("1.2e+2", 120),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("7Ei", 7 << 60),
            ("9223372036854775807", i64::MAX as u64),
            ("0000000000000000000000000000001Ki", 1024),
            ("1.0000000000000000000000000000000", 1),
        ];
        for (text, bytes) in cases {
            assert_eq!(super::bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn parts_are_rounded_up() {
        assert_eq!(bytes("1n"), Ok(1));
        assert_eq!(bytes("128m"), Ok(1));
        assert_eq!(bytes("1001m"), Ok(2));
        assert_eq!(bytes("1e-99"), Ok(1));
        assert_eq!(milli("1u"), Ok(1));
        assert_eq!(milli("0.1"), Ok(100));
        assert_eq!(milli("2"), Ok(2000));
        assert_eq!(milli("250m"), Ok(250));
        assert!(quantity("128m").unwrap().is_fractional());
        assert!(!quantity("2000m").unwrap().is_fractional());
    }

    #[test]
    fn garbage_is_rejected() {
        for text in [
            "", ".", "-", "+", "Mi", "1.2.3", "1 Mi", "1mi", "1K", "1kb", "1e", "1e+", "1e1.5", "1Ki3", "0x10", "١",
            "1e12345", "- 1",
        ] {
            assert_eq!(bytes(text), Err(QuantityError::Malformed), "{text:?}");
        }
        assert_eq!(bytes("-1"), Err(QuantityError::Negative));
        for text in ["8Ei", "10E", "9223372036854775808", "1e19", "99999999999999999999"] {
            assert_eq!(bytes(text), Err(QuantityError::TooLarge), "{text}");
        }
        assert_eq!(milli("5000000"), Err(QuantityError::TooLarge));
    }

    #[test]
    fn bytes_are_shown_as_they_would_be_written() {
        for text in ["0", "1000", "1Ki", "128Mi", "3Gi", "1025"] {
            assert_eq!(from_bytes(bytes(text).unwrap()), text);
        }
    }
}
