//! Bytes → a file: appended, reopened after a rotation, never left with half a line in it.
//!
//! The file is opened anew on SIGHUP and when another file, or none, stands at its path, but only
//! between two blocks: no write splits a push across a rotation. After a failed write (`ENOSPC`,
//! `EIO`, a file-size limit) the file is cut back to the end of the last whole block; where that
//! cannot be done, as another process appends to it as well, or where a crash has left half a line
//! in it, the next write begins on a fresh line.

use super::block::Block;
use super::contract::Sink;
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use super::target::Durability;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file that pushline creates: its owner and group.
const MODE: u32 = 0o640;

/// A file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    durability: Durability,
    open: Option<fs::File>,
    /// How long the file was when the block in hand began, where it is a regular one.
    block_start: Option<u64>,
    /// Bytes of the block in hand that are in the file; none where it has not begun.
    block_written: Option<usize>,
    /// The file ends within a line.
    is_line_torn: bool,
}

impl File {
    /// Opens the file, or creates it.
    pub(super) fn open(path: &Path, durability: Durability) -> io::Result<File> {
        let mut file = File {
            path: path.to_owned(),
            durability,
            open: None,
            block_start: None,
            block_written: None,
            is_line_torn: false,
        };
        file.open_path()?;
        Ok(file)
    }

    fn open_path(&mut self) -> io::Result<()> {
        let is_special = fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file());
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(MODE);
        let file = options.open(&self.path)?;
        self.is_line_torn = !is_special && ends_within_a_line(&self.path);
        self.open = Some(file);
        Ok(())
    }

    /// Whether the path still leads to the open file.
    fn is_current(&self, file: &fs::File) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (fs::metadata(&self.path), file.metadata()) {
            (Ok(there), Ok(here)) => identity(there) == identity(here),
            _ => false,
        }
    }

    /// Takes the part of a block away that a failed write has left.
    fn cut_back(&mut self) {
        let written = self.block_written.take().unwrap_or_default() as u64;
        if written == 0 {
            return;
        }
        let is_ours = |file: &fs::File, start: u64| {
            file.metadata().is_ok_and(|metadata| metadata.len() == start.saturating_add(written))
        };
        let is_cut = match (&self.open, self.block_start) {
            (Some(file), Some(start)) => is_ours(file, start) && file.set_len(start).is_ok(),
            _ => false,
        };
        self.is_line_torn |= !is_cut;
    }

    fn broken(&mut self, error: io::Error) -> Trouble {
        let trouble = Trouble::from(error);
        if !matches!(trouble, Trouble::Blocked) {
            self.cut_back();
        }
        trouble
    }
}

/// Whether the last byte of a file is not a line feed; one that cannot be read is taken as whole.
fn ends_within_a_line(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    let last = file.metadata().ok().and_then(|metadata| metadata.len().checked_sub(1));
    let mut byte = [0];
    last.is_some_and(|last| file.read_exact_at(&mut byte, last).is_ok() && byte != *b"\n")
}

impl File {
    /// A block begins: opens what is not open, or is not the file at the path any more.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.idle()?;
        let regular = |metadata: Metadata| metadata.is_file().then_some(metadata.len());
        let metadata = self.open.as_ref().and_then(|file| file.metadata().ok());
        self.block_start = metadata.and_then(regular);
        self.block_written = Some(0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let Some(file) = &mut self.open else { return Err(Trouble::Blocked) };
        if self.is_line_torn {
            match file.write(b"\n") {
                Ok(1) => self.is_line_torn = false,
                Ok(_) => return Err(Trouble::Blocked),
                Err(error) => return Err(self.broken(error)),
            }
            self.block_start = self.block_start.map(|start| start + 1);
        }
        match file.write(bytes) {
            Ok(0) => Err(Trouble::Blocked),
            Ok(count) => Ok(count),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        if self.durability == Durability::Synced
            && let Some(file) = &self.open
            && let Err(error) = file.sync_data()
        {
            return Err(self.broken(error));
        }
        Ok(())
    }
}

impl Sink for File {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if self.block_written.is_none() {
            self.begin()?;
        }
        let written = self.block_written.unwrap_or_default();
        let rest = block.slice(written..block.bytes().len());
        let written = written + self.write(rest)?;
        self.block_written = Some(written);
        if written < block.bytes().len() {
            progress.reached(written);
            return Err(Trouble::Blocked);
        }
        self.finish()?;
        self.block_written = None;
        Ok(Taken::All)
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        let is_current = self.open.as_ref().is_some_and(|file| self.is_current(file));
        if !is_current {
            self.open_path()?;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.open = None;
    }
}
