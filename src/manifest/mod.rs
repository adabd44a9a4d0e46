//! Floor 0: the data that crosses borders: workstation to flash, flash to board, board to console.
//!
//! Nothing here allocates, reads a clock or does I/O. A manifest is checked once and then read in place.

pub mod board;
pub mod check;
pub mod codec;
pub mod dns;
mod ending;
pub mod ephemeral;
pub mod eviction;
pub mod fact;
pub mod huge;
pub mod image;
pub mod job;
pub mod limits;
pub mod list;
pub mod owner;
pub mod pod;
pub mod probe;
pub mod record;
mod resize;
pub mod security;
pub mod status;
pub mod terminal;
pub mod time;
pub mod units;
pub mod volume;
pub mod zone;

pub use list::List;
