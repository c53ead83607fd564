//! Blocks → a file: appended, reopened after a rotation, never left with half a line in it.
//!
//! The file is opened anew on SIGHUP and when another file, or none, is at its path, but only
//! between two blocks: no write splits a push across a rotation. While the new one cannot be
//! opened, the old one goes on. After a failed write (`ENOSPC`, `EIO`, a file-size limit) the file
//! is cut back to the end of the last whole block; where that cannot be done, as another process
//! appends to it as well, or where a crash has left half a line in it, the next write begins on a
//! fresh line.
//!
//! Nothing waits: a fifo without a reader, or with one that is slow, takes nothing now.

use super::block::Block;
use super::contract::{Sink, WAIT_MAX};
use super::line_end;
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use super::target::Durability;
use crate::observe::log::Log;
use crate::system;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who may read a file that pushline creates: its owner and group.
const MODE: u32 = 0o640;

/// A file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    durability: Durability,
    log: Arc<Log>,
    open: Option<fs::File>,
    /// It is to be opened anew at the next block.
    is_to_reopen: bool,
    /// The new file could not be opened, and the old one goes on.
    is_outdated: bool,
    /// How long the file was when the block in hand began, where it is a regular one.
    block_start: Option<u64>,
    /// Bytes of the block in hand that are in the file; none where it has not begun.
    block_written: Option<usize>,
    /// The file ends within a line.
    is_line_torn: bool,
}

impl File {
    /// Opens the file, or creates it. A fifo that nobody reads yet is opened later.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path, durability: Durability, log: Arc<Log>) -> io::Result<File> {
        let mut file = File {
            path: path.to_owned(),
            durability,
            log,
            open: None,
            is_to_reopen: false,
            is_outdated: false,
            block_start: None,
            block_written: None,
            is_line_torn: false,
        };
        let is_fifo = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        match file.open_path() {
            Err(_) if is_fifo => {
                let path = path.display();
                file.log.warn("waiting for a reader of the fifo", &[("path", &path)]);
            }
            opened => opened?,
        }
        Ok(file)
    }

    fn open_path(&mut self) -> io::Result<()> {
        let is_new = self.durability == Durability::Synced && !self.path.exists();
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(MODE).custom_flags(system::UNBLOCKED);
        let file = options.open(&self.path).map_err(|error| match error.raw_os_error() {
            Some(NO_READER) => io::Error::new(io::ErrorKind::NotConnected, "nobody reads the fifo"),
            _ => error,
        })?;
        if is_new {
            // Else a loss of power may take the name, and all that was synced with it.
            self.sync_folder();
        }
        self.is_line_torn = line_end::is_torn(&self.path);
        self.open = Some(file);
        self.is_to_reopen = false;
        Ok(())
    }

    fn sync_folder(&self) {
        let folder = self.path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        if let Err(error) = fs::File::open(folder).and_then(|folder| folder.sync_all()) {
            let why = "the folder of the file cannot be synced, a loss of power may take its name";
            self.log.warn(why, &[("error", &error)]);
        }
    }

    /// Whether the path still leads to the open file.
    fn is_current(&self, file: &fs::File) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (fs::metadata(&self.path), file.metadata()) {
            (Ok(there), Ok(here)) => identity(there) == identity(here),
            _ => false,
        }
    }

    /// Opens the file where none is open, and the one that is at the path now where that can be.
    fn follow_path(&mut self) -> Result<(), Trouble> {
        let is_current = self.open.as_ref().is_some_and(|file| self.is_current(file));
        if is_current && !self.is_to_reopen {
            return Ok(());
        }
        match self.open_path() {
            Ok(()) => {
                if std::mem::take(&mut self.is_outdated) {
                    self.log.info("the new file is open", &[]);
                }
                Ok(())
            }
            Err(error) if self.open.as_ref().is_some_and(has_name) => {
                if !std::mem::replace(&mut self.is_outdated, true) {
                    let why = "the new file cannot be opened, the old one goes on";
                    self.log.warn(why, &[("error", &error)]);
                }
                Ok(())
            }
            Err(error) => Err(Trouble::Broken { error, retry_after: None }),
        }
    }

    /// A block begins.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.follow_path()?;
        let regular = |metadata: Metadata| metadata.is_file().then_some(metadata.len());
        let metadata = self.open.as_ref().and_then(|file| file.metadata().ok());
        self.block_start = metadata.and_then(regular);
        self.block_written = Some(0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let Some(file) = &mut self.open else { return Err(Trouble::Blocked) };
        match file.write(bytes) {
            Ok(0) => Err(Trouble::Blocked),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                system::wait_writable(&*file, WAIT_MAX)?;
                Err(Trouble::Blocked)
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    fn end_torn_line(&mut self) -> Result<(), Trouble> {
        if self.is_line_torn {
            self.write(b"\n")?;
            self.is_line_torn = false;
            self.block_start = self.block_start.map(|start| start + 1);
        }
        Ok(())
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

    fn broken(&mut self, error: io::Error) -> Trouble {
        let trouble = Trouble::from(error);
        if !matches!(trouble, Trouble::Blocked) {
            self.cut_back();
        }
        trouble
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
}

/// Whether somebody can still find an open file: one that was removed keeps nothing.
fn has_name(file: &fs::File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// `ENXIO`: a fifo that nobody reads.
const NO_READER: i32 = 6;

impl Sink for File {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if self.block_written.is_none() {
            self.begin()?;
        }
        self.end_torn_line()?;
        let written = self.block_written.unwrap_or_default();
        let rest = block.slice(written..block.bytes().len());
        // OK because all of it may be written, and only the sync have failed before.
        let written = if rest.is_empty() { written } else { written + self.write(rest)? };
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
        self.follow_path()
    }

    fn reopen(&mut self) {
        self.is_to_reopen = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::condition::OutputState;
    use crate::observe::log::{Level, LogFormat};
    use crate::observe::telemetry::Telemetry;
    use std::time::Duration;

    #[test]
    fn a_file_that_was_removed_with_its_folder_fails_until_it_can_be_made_again() {
        let folder = std::env::temp_dir().join(format!("pushline-gone-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("lines");
        let log = Arc::new(Log::new(Level::Error, LogFormat::Logfmt));
        let mut file = File::open(&path, Durability::Written, log).unwrap();
        let state = OutputState::new(Duration::from_secs(5), Arc::new(Telemetry::new()));
        let mut progress = Progress::new(Arc::new(state));
        let mut block = Block::default();
        block.append(b"a b=1 1\n", 1);
        assert_eq!(file.offer(&block, &mut progress).unwrap(), Taken::All);
        fs::remove_dir_all(&folder).unwrap();
        let trouble = file.offer(&block, &mut progress).unwrap_err();
        assert!(matches!(trouble, Trouble::Broken { .. }), "{trouble:?}");
        assert!(file.idle().is_err());
        fs::create_dir(&folder).unwrap();
        assert_eq!(file.offer(&block, &mut progress).unwrap(), Taken::All);
        assert_eq!(fs::read(&path).unwrap(), b"a b=1 1\n");
        fs::remove_dir_all(folder).unwrap();
    }
}
