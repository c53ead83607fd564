//! The folder of a spool: its lock, and what is done to its files.
//!
//! One process at a time writes to a folder. The lock is on the folder itself (`flock`), so it
//! leaves nothing there, ends with its process however that ends, and works on a read-only disk.

use super::format::{
    BAD_SUFFIX, CURSOR_BYTES, CURSOR_NAME, NEW_CURSOR_NAME, NEWER_SUFFIX, Position,
    SEGMENT_HEADER_BYTES, read_segment_header, sequence_of, write_cursor,
};
use super::reading::{is_damage, read_through};
use super::recovery::FileStart;
use crate::limits::{
    SPOOL_BAD_SEGMENTS_MAX, SPOOL_FILES_MAX, SPOOL_READ_BYTES_MAX, SPOOL_SEGMENT_BYTES_MAX,
};
use crate::system;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a folder cannot be a spool.
#[derive(Debug)]
pub struct UnusableSpool {
    path: PathBuf,
    what: Misfit,
}

#[derive(Debug)]
enum Misfit {
    /// It is no folder, or may not be opened.
    Unusable(io::Error),
    /// Another process has it, by its id where the system tells it.
    Held(Option<u32>),
}

impl fmt::Display for UnusableSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.what {
            Misfit::Unusable(error) => write!(f, "cannot use the spool {path}: {error}"),
            Misfit::Held(Some(process)) => {
                write!(f, "the spool {path} belongs to process {process}, which is running; ")?;
                write!(f, "each pushline needs a spool.dir of its own")
            }
            Misfit::Held(None) => {
                write!(f, "the spool {path} belongs to another process, which is running; ")?;
                write!(f, "each pushline needs a spool.dir of its own")
            }
        }
    }
}

impl std::error::Error for UnusableSpool {}

impl UnusableSpool {
    /// Whether another process has the folder.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.what, Misfit::Held(_))
    }
}

/// A folder of segments and a cursor.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock; none where the folder is only looked at.
    lock: Option<File>,
}

impl Folder {
    /// Takes the folder, and makes it where it is missing.
    pub(super) fn take(path: &Path) -> Result<Folder, UnusableSpool> {
        lock(path)
            .map(|file| Folder { path: path.to_owned(), lock: Some(file) })
            .map_err(|what| UnusableSpool { path: path.to_owned(), what })
    }

    /// Looks at a folder that may belong to another process.
    pub(super) fn look(path: &Path) -> Folder {
        Folder { path: path.to_owned(), lock: None }
    }

    /// Why it cannot be used after all.
    pub(super) fn unusable(&self, error: io::Error) -> UnusableSpool {
        UnusableSpool { path: self.path.clone(), what: Misfit::Unusable(error) }
    }

    /// Makes the folder again, and takes it, after somebody has removed it.
    pub(super) fn take_again(&mut self) -> Result<(), UnusableSpool> {
        *self = Folder::take(&self.path)?;
        Ok(())
    }

    /// Whether the path still leads to the folder that was taken.
    pub(super) fn is_there(&self) -> bool {
        let Some(lock) = &self.lock else { return false };
        match (lock.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(found)) => (ours.dev(), ours.ino()) == (found.dev(), found.ino()),
            _ => false,
        }
    }

    /// The start of each file, by the names of segments.
    pub(super) fn file_starts(&self) -> io::Result<Vec<FileStart>> {
        let mut starts = Vec::new();
        for entry in fs::read_dir(&self.path)?.take(SPOOL_FILES_MAX) {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if sequence_of(&name).is_none() {
                continue;
            }
            match self.file_start(name) {
                Ok(start) => starts.push(start),
                // OK because the process that it belongs to removes what is delivered.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(starts)
    }

    fn file_start(&self, name: String) -> io::Result<FileStart> {
        let file = match self.open(&name) {
            Err(error) if is_damage(&error) => {
                let (bytes, head) = (SEGMENT_HEADER_BYTES as u64, Vec::new());
                return Ok(FileStart { name, bytes, head });
            }
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        let mut head = read_start(&file, bytes, SEGMENT_HEADER_BYTES as u64)?;
        if read_segment_header(&head).is_err() {
            head = read_start(&file, bytes, 2 * SPOOL_SEGMENT_BYTES_MAX)?;
        }
        Ok(FileStart { name, bytes, head })
    }

    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        // A pipe of that name would make this wait forever.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(system::UNBLOCKED);
        let file = options.open(self.path.join(name))?;
        // A folder or a pipe would make the reader fail later, or wait.
        if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// A segment's bytes; what cannot be read of them is damage.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let bytes = file.metadata()?.len();
        read_start(&file, bytes, SPOOL_READ_BYTES_MAX)
    }

    /// The cursor's bytes, of which some are missing where they cannot be read; none where there is
    /// no cursor.
    pub(super) fn read_cursor(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match self.open(CURSOR_NAME) {
            Ok(file) => match file.take(CURSOR_BYTES as u64).read_to_end(&mut bytes) {
                Err(error) if !is_damage(&error) => Err(error),
                _ => Ok(Some(bytes)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if is_damage(&error) => Ok(Some(bytes)),
            Err(error) => Err(error),
        }
    }

    /// Puts the cursor in its place, whole: it is there after a loss of power, or the one before.
    pub(super) fn write_cursor(&self, position: Position) -> io::Result<()> {
        let new = self.path.join(NEW_CURSOR_NAME);
        let mut file = for_writing().truncate(true).open(&new)?;
        file.write_all(&write_cursor(position))?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(CURSOR_NAME))?;
        self.sync()
    }

    /// Makes a new segment file.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        for_writing().truncate(true).open(self.path.join(name))
    }

    /// Opens a segment to write on.
    pub(super) fn open_to_append(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(system::UNBLOCKED).open(self.path.join(name))
    }

    /// Removes a file; one that is gone is removed already. It is emptied first, since whoever has
    /// it open would keep its room from a disk that may be full.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let emptied = self.open_to_append(name).and_then(|file| file.set_len(0));
        match emptied.and_then(|()| fs::remove_file(self.path.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Keeps a file for its damage, under a name that is no segment's; the oldest of too many such
    /// files are removed.
    pub(super) fn set_aside(&self, name: &str) -> io::Result<()> {
        let kept = self.path.join(format!("{name}{BAD_SUFFIX}"));
        match fs::rename(self.path.join(name), kept) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut kept = self.kept(BAD_SUFFIX)?;
        kept.sort();
        kept.truncate(kept.len().saturating_sub(SPOOL_BAD_SEGMENTS_MAX));
        kept.iter().try_for_each(|name| self.remove(name))
    }

    /// Keeps a file that a newer pushline wrote, under a name that is no segment's.
    pub(super) fn keep_newer(&self, name: &str) -> io::Result<()> {
        fs::rename(self.path.join(name), self.path.join(format!("{name}{NEWER_SUFFIX}")))
    }

    /// The names of the segments that are kept with this suffix.
    pub(super) fn kept(&self, suffix: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?.take(SPOOL_FILES_MAX);
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_kept = |name: &String| name.strip_suffix(suffix).and_then(sequence_of).is_some();
        Ok(names.filter(is_kept).collect())
    }

    /// Makes names that were added or removed survive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.lock {
            Some(folder) => folder.sync_all(),
            None => File::open(&self.path)?.sync_all(),
        }
    }
}

/// The first bytes of a file of this length, at most `bytes_max`.
fn read_start(file: &File, bytes: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    // OK because `bytes_max` is a bound on memory, and 32 bits count that.
    let len = usize::try_from(bytes.min(bytes_max)).unwrap_or_default();
    let mut start = vec![0; len];
    let count = read_through(|buffer, offset| file.read_at(buffer, offset), &mut start, 0)?;
    start.truncate(count);
    Ok(start)
}

/// A file that only the user of this process and its group may read: lines may be confidential.
fn for_writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o640);
    options
}

fn lock(path: &Path) -> Result<File, Misfit> {
    // A folder that is there on a disk that is read-only is good enough to be read.
    if let Err(error) = fs::DirBuilder::new().mode(0o750).create(path)
        && !path.is_dir()
    {
        return Err(Misfit::Unusable(error));
    }
    let folder = File::open(path).map_err(Misfit::Unusable)?;
    let metadata = folder.metadata().map_err(Misfit::Unusable)?;
    if !metadata.is_dir() {
        return Err(Misfit::Unusable(ErrorKind::NotADirectory.into()));
    }
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(Misfit::Held(holder(metadata.ino()))),
        Err(TryLockError::Error(error)) => Err(Misfit::Unusable(error)),
    }
}

/// The process that has a lock on this file, as the system's list of locks says:
/// `1: FLOCK  ADVISORY  WRITE 1234 fd:00:5678 0 EOF`.
fn holder(inode: u64) -> Option<u32> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let suffix = format!(":{inode}");
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, process) = (words.next()?, words.nth(2)?);
        let is_ours = kind == "FLOCK" && words.next()?.ends_with(&suffix);
        process.parse().ok().filter(|process| is_ours && *process > 0)
    })
}
