//! Floor 0: the data that crosses borders: workstation to flash, flash to board, board to console.
//!
//! Nothing here allocates, reads a clock or does I/O. A manifest is checked once and then read in place.

pub mod board;
pub mod check;
pub mod codec;
pub mod image;
pub mod limits;
pub mod list;
pub mod pod;
pub mod probe;
pub mod record;
pub mod status;
pub mod time;

pub use list::List;
