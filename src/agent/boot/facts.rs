//! What this board is and what it is to run, read from its own files: the board record and the slots.

use crate::agent::store::{Error, Flash, Loaded, Store};
use crate::agent::{Config, Source};
use crate::machine::slot::Slot;
use crate::manifest::board::{Board, Network};
use crate::manifest::codec::{self, Kind};
use crate::manifest::{check, limits};
use std::format;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// The board record, in the initramfs.
pub const BOARD: &str = "/board";

/// The record of this board. It lives as long as the program.
pub fn read_board(path: &Path) -> Result<Board<'static>, String> {
    let path_shown = path.display();
    let mut bytes = Vec::new();
    // One byte more than may be: then it is too long, and the codec says so.
    let file = File::open(path).and_then(|file| file.take(limits::BOARD as u64 + 1).read_to_end(&mut bytes));
    file.map_err(|error| format!("read the board record {path_shown}: {error}; lay out the board's flash again"))?;
    let bytes: &'static [u8] = bytes.leak();
    let (header, body) = codec::open(bytes, Kind::Board).map_err(|error| format!("{path_shown}: {error}"))?;
    let board = check::board(body).map_err(|error| format!("{path_shown}: {error}"))?;
    if header.class != board.class {
        return Err(format!(
            "{path_shown}: its header is for class {}, its body for {}; lay out the board's flash again",
            header.class, board.class
        ));
    }
    Ok(board)
}

/// The content of /etc/resolv.conf.
pub fn resolv_conf(board: &Board<'_>) -> String {
    let server = board.network.and_then(|network| network.dns);
    server.map_or_else(String::new, |[a, b, c, d]| format!("nameserver {a}.{b}.{c}.{d}\n"))
}

/// What a board's agent and its console are told at their start.
#[derive(Debug)]
pub struct Node {
    /// For the agent.
    pub config: Config,
    /// The tty of the console; `None` where the board is not known.
    pub console: Option<PathBuf>,
    /// The Ethernet of the node.
    pub network: Option<Network<'static>>,
}

/// Reads it from this board's own files. `troubles` come from the boot.
pub fn node(troubles: Vec<String>) -> Node {
    let board = match read_board(Path::new(BOARD)) {
        Ok(board) => board,
        Err(error) => {
            let mut config = Config::board("board", "");
            config.troubles = troubles;
            // Init has met the same, and said so.
            if config.troubles.is_empty() {
                config.troubles.push(error);
            }
            return Node { config, console: None, network: None };
        }
    };
    let mut config = Config::board(board.hostname, board.class);
    config.source = Some(Source(Arc::new(manifest)));
    config.resolv_conf = resolv_conf(&board);
    config.troubles = troubles;
    config.allow_privileged = board.allow_privileged;
    let flash = fs::OpenOptions::new().read(true).write(true).open(board.slots);
    match flash {
        Ok(flash) => take(&Store::new(flash, board.slot_bytes, board.class), &mut config),
        Err(error) => config.troubles.push(format!("open the manifest slots {}: {error}", board.slots)),
    }
    Node { config, console: Some(Path::new("/dev").join(board.console)), network: board.network }
}

/// The newest manifest of this board's slots, as it is there now.
///
/// # Errors
/// Something is wrong with the slots; also where there still is a good one in the other.
fn manifest() -> Result<Vec<u8>, String> {
    let config = node(Vec::new()).config;
    match config.manifest {
        Some(manifest) if config.troubles.is_empty() => Ok(manifest),
        _ => Err(config.troubles.join("; ")),
    }
}

/// Hands the newest manifest over, and what is wrong with the slots.
fn take<F: Flash>(store: &Store<F>, config: &mut Config) {
    let Loaded { manifest, faults } = store.load();
    for (slot, fault) in Slot::BOTH.into_iter().zip(&faults) {
        match fault {
            None => {}
            // One manifest is all that a new board has.
            Some(Error::Empty) => {}
            Some(fault) => config.troubles.push(format!("manifest slot {slot:?}: {fault}")),
        }
    }
    if manifest.is_none() {
        config.troubles.push("no manifest to run: put one into a slot with `podling image`".into());
    }
    config.manifest = manifest.map(|stored| stored.file().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, vec};

    struct Bytes(Vec<u8>);

    impl Flash for Bytes {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
            Ok(())
        }
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Spec 99 as the agent sees it: one good slot is enough, and what is wrong with the other is said.
    #[test]
    fn the_good_slot_is_taken_and_the_bad_one_told() {
        let body = postcard::to_extend(&crate::manifest::pod::Manifest::default(), Vec::new()).unwrap();
        let file = [&codec::seal(Kind::Manifest, "board", 1, &body).unwrap()[..], &body].concat();
        let mut flash = vec![0; 8192];
        flash[..file.len()].copy_from_slice(&file);
        let mut config = Config::board("node", "board");
        take(&Store::new(Bytes(flash.clone()), 4096, "board"), &mut config);
        assert_eq!((config.manifest.as_deref(), config.troubles.len()), (Some(&file[..]), 0));

        flash[4096..4101].copy_from_slice(b"bogus");
        let mut config = Config::board("node", "other");
        take(&Store::new(Bytes(flash), 4096, "other"), &mut config);
        assert!(config.manifest.is_none());
        assert!(
            config.troubles[0].starts_with("manifest slot A: the manifest is for boards of class board"),
            "{:?}",
            config.troubles
        );
        assert!(config.troubles[1].starts_with("manifest slot B: not a podling manifest"), "{:?}", config.troubles);
        assert!(config.troubles[2].starts_with("no manifest to run"));
    }

    #[test]
    fn a_board_record_that_cannot_be_read_says_what_to_do() {
        let error = read_board(Path::new("/nowhere/board")).unwrap_err();
        assert!(
            error.starts_with("read the board record /nowhere/board: No such file") && error.ends_with("flash again"),
            "{error}"
        );
        assert!(read_board(Path::new("/dev/zero")).unwrap_err().contains("not a podling board record"));
    }
}
