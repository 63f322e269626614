//! Frames in files, found by time.
//!
//! A recording that goes on is several files, each of which begins with a whole snapshot and can be read
//! by itself; the oldest go when there are too many. Files that a console writes are locked, so that
//! another one that makes room does not take them.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_engine::control::Snapshot;

use super::format::{self, HEAD, Head, Kind, MAGIC};
use super::{Recorded, RecordingError, Seek};

/// How the files end.
pub const EXTENSION: &str = "skeprec";
/// Moments of one file.
const MAX_MOMENTS: usize = 1_000_000;
/// Bytes that the moments between a whole snapshot and the next may unpack to.
const MAX_GROUP: u64 = 256 << 20;
/// A file is this part of what all may take.
pub const PARTS: u64 = 16;
/// The past that charts show.
const CHARTS_MS: u64 = 360_000;
/// Samples of a chart: one a second.
const SAMPLES: usize = 360;

#[derive(Debug, Clone, Copy)]
struct Moment {
    at: u64,
    head: Head,
}

#[derive(Debug)]
struct Chunk {
    file: File,
    path: Option<PathBuf>,
    len: u64,
    moments: Vec<Moment>,
}

/// A recording: one file that is read, or several that are written and read.
#[derive(Debug, Default)]
pub struct Tape {
    chunks: VecDeque<Chunk>,
    /// What was read last: the next moment is near it more often than not.
    cursor: Option<Cursor>,
    torn: bool,
}

#[derive(Debug, Clone)]
struct Cursor {
    time_ms: u64,
    place: usize,
    snapshot: Snapshot,
    unpacked: u64,
}

impl Tape {
    /// Opens a file to read it. All of it is read once, and held against what it says of itself; it ends
    /// where the first damaged frame begins.
    ///
    /// # Errors
    /// It cannot be read, is no recording, or holds no moment.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let name = skep_engine::content::name::printable(&path.to_string_lossy());
        let failed = |source| RecordingError::Io { what: format!("cannot read {name}"), source };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(RecordingError::NotOne(name));
        }
        let mut reader = BufReader::with_capacity(1 << 18, &file);
        let mut magic = Vec::new();
        reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed)?;
        format::check_magic(&magic, &name)?;
        let mut moments: Vec<Moment> = Vec::new();
        let mut stored = Vec::new();
        let mut at = MAGIC.len() as u64;
        let torn = loop {
            let mut bytes = [0; HEAD];
            match read_up_to(&mut reader, &mut bytes).map_err(failed)? {
                0 => break false,
                HEAD => {}
                _ => break true,
            }
            let Some(head) = Head::parse(&bytes) else { break true };
            let follows = match moments.last() {
                Some(last) => last.head.time_ms <= head.time_ms,
                None => head.kind == Kind::Key,
            };
            stored.clear();
            reader.by_ref().take(head.stored.into()).read_to_end(&mut stored).map_err(failed)?;
            if !follows || !head.holds(&stored) {
                break true;
            }
            if moments.len() >= MAX_MOMENTS {
                return Err(RecordingError::Large("more than a million moments"));
            }
            moments.push(Moment { at: at + HEAD as u64, head });
            at += HEAD as u64 + u64::from(head.stored);
        };
        if moments.is_empty() {
            return Err(RecordingError::Empty(name));
        }
        let chunk = Chunk { file, path: None, len: at, moments };
        Ok(Self { chunks: [chunk].into(), cursor: None, torn })
    }

    /// True if the end of the file was torn off or damaged.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Number of moments.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.moments.len()).sum()
    }

    /// True if there is no moment.
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.moments.is_empty())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len).sum()
    }

    /// Bytes of the file that is written.
    pub fn last_file_bytes(&self) -> u64 {
        self.chunks.back().map_or(0, |chunk| chunk.len)
    }

    /// Time of the last moment.
    pub fn last_ms(&self) -> Option<u64> {
        self.chunks.back()?.moments.last().map(|moment| moment.head.time_ms)
    }

    fn first_ms(&self) -> Option<u64> {
        self.chunks.front()?.moments.first().map(|moment| moment.head.time_ms)
    }

    fn moment(&self, place: usize) -> Option<(&Chunk, &Moment)> {
        let mut place = place;
        for chunk in &self.chunks {
            match chunk.moments.get(place) {
                Some(moment) => return Some((chunk, moment)),
                None => place -= chunk.moments.len(),
            }
        }
        None
    }

    /// Place of the last moment at or before a time; none if all are later.
    fn place_at(&self, time_ms: u64) -> Option<usize> {
        let earlier = |chunk: &Chunk| chunk.moments.partition_point(|m| m.head.time_ms <= time_ms);
        self.chunks.iter().map(earlier).sum::<usize>().checked_sub(1)
    }

    /// Place of the last whole snapshot at or before a place.
    fn key_before(&self, place: usize) -> usize {
        let is_key = |at: &usize| self.moment(*at).is_some_and(|(_, m)| m.head.kind == Kind::Key);
        (0..=place).rev().find(is_key).unwrap_or(0)
    }

    /// The moment that is asked for, or the nearest there is.
    ///
    /// # Errors
    /// There is none; it cannot be read.
    pub fn seek(&mut self, seek: Seek) -> Result<Recorded, RecordingError> {
        let (Some(first_ms), Some(last_ms)) = (self.first_ms(), self.last_ms()) else {
            return Err(RecordingError::Damaged("it holds nothing yet".into()));
        };
        let wanted_ms = seek.from_ms.saturating_add_signed(seek.ms);
        let start = self.place_at(wanted_ms);
        let last = self.len() - 1;
        let wanted = start.map_or(-1, |place| place as i64).saturating_add(seek.moments);
        let place = (wanted.max(0) as usize).min(last);
        let (before, beyond) = (wanted < 0, wanted > last as i64 || (seek.ms > 0 && wanted_ms > last_ms));
        let rates = self.rates(place);
        let cursor = self.read(place)?;
        Ok(Recorded {
            time_ms: cursor.time_ms,
            snapshot: Arc::new(cursor.snapshot.clone()),
            rates,
            first_ms,
            last_ms,
            before,
            beyond,
        })
    }

    /// Rates of the minutes before a place, oldest first.
    fn rates(&self, place: usize) -> Vec<(u64, u64, u64)> {
        let heads = (0..=place).rev().filter_map(|at| self.moment(at)).map(|(_, moment)| moment.head);
        let last_ms = self.moment(place).map_or(0, |(_, moment)| moment.head.time_ms);
        let recent = heads.take(SAMPLES).take_while(|head| head.time_ms.saturating_add(CHARTS_MS) >= last_ms);
        let mut rates: Vec<_> = recent.map(|head| (head.time_ms, head.down, head.up)).collect();
        rates.reverse();
        rates
    }

    /// Plays from the nearest point to a place.
    fn read(&mut self, place: usize) -> Result<&Cursor, RecordingError> {
        let key = self.key_before(place);
        let mut cursor = match self.cursor.take() {
            Some(cursor) if (key..=place).contains(&cursor.place) => cursor,
            _ => {
                let mut cursor = Cursor { time_ms: 0, place: key, snapshot: Snapshot::default(), unpacked: 0 };
                self.play(&mut cursor, key)?;
                cursor
            }
        };
        for at in cursor.place + 1..=place {
            self.play(&mut cursor, at)?;
        }
        Ok(self.cursor.insert(cursor))
    }

    fn play(&self, cursor: &mut Cursor, place: usize) -> Result<(), RecordingError> {
        let Some((chunk, Moment { at, head })) = self.moment(place) else {
            return Err(RecordingError::Damaged("a moment is gone".into()));
        };
        if head.kind == Kind::Key {
            cursor.unpacked = 0;
        }
        cursor.unpacked += u64::from(head.plain);
        if cursor.unpacked > MAX_GROUP {
            return Err(RecordingError::Large("changes of more than 256 MiB without a whole snapshot"));
        }
        let mut stored = vec![0; head.stored as usize];
        chunk.file.read_exact_at(&mut stored, *at).map_err(RecordingError::io("cannot read the recording"))?;
        format::decode(head, &stored, &mut cursor.snapshot)?;
        (cursor.place, cursor.time_ms) = (place, head.time_ms);
        Ok(())
    }

    /// Begins a new file; the next frame must be a whole snapshot.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(&mut self, path: &Path) -> Result<(), RecordingError> {
        let failed = |source| RecordingError::Io { what: format!("cannot write {}", path.display()), source };
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        let open = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path);
        let mut file = open.map_err(failed)?;
        // A file system without locks only means that another console may make room at our cost.
        let _ = file.try_lock();
        file.write_all(MAGIC).map_err(failed)?;
        let len = MAGIC.len() as u64;
        self.chunks.push_back(Chunk { file, path: Some(path.to_owned()), len, moments: Vec::new() });
        Ok(())
    }

    /// Appends a frame as `format::encode` makes it, not earlier than the last.
    ///
    /// # Errors
    /// It cannot be written; the tape can go on all the same.
    pub fn append(&mut self, frame: &[u8]) -> Result<(), RecordingError> {
        let head = frame.first_chunk().and_then(Head::parse);
        let (Some(head), Some(chunk)) = (head, self.chunks.back_mut()) else {
            return Err(RecordingError::Damaged("no file was begun".into()));
        };
        if let Err(source) = chunk.file.write_all(frame) {
            // What is torn ends the file for those who read it later: take it away.
            let _ = chunk.file.set_len(chunk.len);
            return Err(RecordingError::Io { what: "cannot write the recording".into(), source });
        }
        chunk.moments.push(Moment { at: chunk.len + HEAD as u64, head });
        chunk.len += frame.len() as u64;
        Ok(())
    }

    /// Drops the oldest files until the rest takes `max_bytes` at most; the one being written stays.
    pub fn trim(&mut self, max_bytes: u64) {
        while self.chunks.len() > 1 && self.bytes() > max_bytes {
            if let Some(path) = self.chunks.pop_front().and_then(|chunk| chunk.path) {
                let _ = fs::remove_file(path);
            }
            self.cursor = None;
        }
    }

    /// Copies everything into one new file.
    ///
    /// # Errors
    /// It exists already, or cannot be written.
    pub fn save(&self, path: &Path) -> Result<u64, RecordingError> {
        let failed = |source| RecordingError::Io { what: format!("cannot write {}", path.display()), source };
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = open.map_err(failed)?;
        let copied = self.copy_to(&mut file);
        if copied.is_err() {
            let _ = fs::remove_file(path);
        }
        copied.map_err(failed)
    }

    fn copy_to(&self, file: &mut File) -> io::Result<u64> {
        file.write_all(MAGIC)?;
        let mut total = MAGIC.len() as u64;
        let mut buffer = vec![0; 1 << 18];
        for chunk in &self.chunks {
            let mut at = MAGIC.len() as u64;
            while at < chunk.len {
                let wanted = (chunk.len - at).min(buffer.len() as u64) as usize;
                chunk.file.read_exact_at(&mut buffer[..wanted], at)?;
                file.write_all(&buffer[..wanted])?;
                at += wanted as u64;
            }
            total += chunk.len - MAGIC.len() as u64;
        }
        file.sync_all()?;
        Ok(total)
    }
}

/// Reads until the buffer is full or the file ends; gives the bytes read.
fn read_up_to(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Removes the oldest recordings of a folder, but none that is being written, until all of them take
/// `max_bytes` at most.
pub fn make_room(dir: &Path, max_bytes: u64) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut found: Vec<(PathBuf, u64)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
        .filter_map(|path| Some((fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file())?.len(), path)))
        .map(|(len, path)| (path, len))
        .collect();
    // Names begin with the time at which the console started.
    found.sort();
    let mut total: u64 = found.iter().map(|(_, len)| len).sum();
    for (path, len) in found {
        if total <= max_bytes {
            return;
        }
        let free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if free && fs::remove_file(&path).is_ok() {
            total -= len;
        }
    }
}
