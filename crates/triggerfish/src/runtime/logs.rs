//! Logs of containers: written with bounds while they run, read and followed by others meanwhile.
//!
//! A line on disk is `TIME F TEXT` (RFC 3339 with nanoseconds, `F` a whole line or `P` a part of one).

use crate::clock;
use bytes::Bytes;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// What is kept of one container's output, in bytes; the rest is dropped and said so.
const LIMIT: u64 = 64 * 1024 * 1024;
/// Longer lines are cut into parts.
const LINE: usize = 64 * 1024;

/// Where logs are, and which are being written.
#[derive(Clone)]
pub struct Logs {
    dir: PathBuf,
    /// Bytes written so far of each log that is still being written.
    live: Arc<Mutex<HashMap<String, watch::Sender<u64>>>>,
}

/// What a reader wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub follow: bool,
    pub timestamps: bool,
    pub tail_lines: Option<u64>,
    pub since: Option<Timestamp>,
    pub limit_bytes: Option<u64>,
}

impl Logs {
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, live: Arc::default() })
    }

    fn path(&self, uid: &str) -> PathBuf {
        self.dir.join(format!("{uid}.log"))
    }

    /// Whether a container has ever been started: its log is made first.
    pub fn exists(&self, uid: &str) -> bool {
        self.path(uid).exists()
    }

    /// Makes the log of a container that is about to start; an error if it was started before.
    pub fn writer(&self, uid: &str) -> io::Result<Writer> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(self.path(uid))?;
        let (tell, _) = watch::channel(0);
        self.live.lock().unwrap_or_else(|e| e.into_inner()).insert(uid.to_owned(), tell.clone());
        Ok(Writer {
            logs: self.clone(),
            uid: uid.to_owned(),
            file,
            written: 0,
            tell,
            partial: [Vec::new(), Vec::new()],
            full: false,
        })
    }

    pub fn remove(&self, uid: &str) {
        // A log that is already gone needs no removal.
        let _ = std::fs::remove_file(self.path(uid));
    }

    /// Lines as they were written, newline included; ends when the container has ended (or at once without `follow`).
    pub fn read(&self, uid: &str, wanted: Wanted) -> mpsc::Receiver<Bytes> {
        let (out, lines) = mpsc::channel(64);
        let (path, live) = (
            self.path(uid),
            self.live.lock().unwrap_or_else(|e| e.into_inner()).get(uid).map(watch::Sender::subscribe),
        );
        tokio::task::spawn(async move {
            let live = live.filter(|_| wanted.follow);
            // A reader that goes away, or a log that cannot be read: nothing more to send either way.
            let _ = deliver(&path, wanted, live, out).await;
        });
        lines
    }
}

async fn deliver(
    path: &Path,
    wanted: Wanted,
    mut live: Option<watch::Receiver<u64>>,
    out: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut reader = match File::open(path) {
        Ok(f) => BufReader::new(f),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if let Some(n) = wanted.tail_lines {
        let start = tail(&mut reader, n)?;
        reader.seek(SeekFrom::Start(start))?;
    }
    let mut left = wanted.limit_bytes.unwrap_or(u64::MAX);
    let mut pending = Vec::new();
    loop {
        // Seen before reading, so that nothing written meanwhile is missed.
        if let Some(l) = &mut live {
            l.borrow_and_update();
        }
        loop {
            if reader.read_until(b'\n', &mut pending)? == 0 || pending.last() != Some(&b'\n') {
                break;
            }
            let line = std::mem::take(&mut pending);
            let Some(mut shown) = show(&line, &wanted) else { continue };
            shown.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= shown.len() as u64;
            if out.send(shown.into()).await.is_err() || left == 0 {
                return Ok(());
            }
        }
        match &mut live {
            None => return Ok(()),
            Some(l) => {
                if l.changed().await.is_err() {
                    // The writer is gone: one last look.
                    live = None;
                }
            }
        }
    }
}

/// Where the last `n` lines begin.
fn tail(reader: &mut BufReader<File>, n: u64) -> io::Result<u64> {
    let mut starts = std::collections::VecDeque::new();
    let mut at = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        starts.push_back(at);
        if starts.len() as u64 > n {
            starts.pop_front();
        }
        at += read;
    }
    Ok(starts.front().copied().unwrap_or(at))
}

fn show(line: &[u8], wanted: &Wanted) -> Option<Vec<u8>> {
    let mut parts = line.splitn(3, |b| *b == b' ');
    let (time, tag, text) = (parts.next()?, parts.next()?, parts.next()?);
    let stamp = std::str::from_utf8(time).ok()?;
    if let Some(since) = wanted.since
        && stamp.parse::<Timestamp>().is_ok_and(|t| t < since)
    {
        return None;
    }
    let text = if tag == b"P" { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
    let mut out = Vec::with_capacity(line.len());
    if wanted.timestamps {
        out.extend_from_slice(time);
        out.push(b' ');
    }
    out.extend_from_slice(text);
    Some(out)
}

/// Writes one container's log. Dropping it ends the log for followers.
pub struct Writer {
    logs: Logs,
    uid: String,
    file: File,
    written: u64,
    tell: watch::Sender<u64>,
    /// Unfinished lines of standard output and standard error.
    partial: [Vec<u8>; 2],
    full: bool,
}

impl Writer {
    /// Takes output of a stream (0: standard output, 1: standard error).
    pub fn write(&mut self, stream: usize, data: &[u8]) -> io::Result<()> {
        let now = clock::precise(Timestamp::now());
        let mut buffer = Vec::with_capacity(data.len() + 64);
        for piece in data.split_inclusive(|b| *b == b'\n') {
            let partial = &mut self.partial[stream];
            partial.extend_from_slice(piece);
            let whole = piece.ends_with(b"\n");
            if whole || partial.len() >= LINE {
                line(&mut buffer, &now, if whole { 'F' } else { 'P' }, partial);
                partial.clear();
            }
        }
        self.append(&buffer)
    }

    fn append(&mut self, buffer: &[u8]) -> io::Result<()> {
        if buffer.is_empty() || self.full {
            return Ok(());
        }
        if self.written + buffer.len() as u64 > LIMIT {
            self.full = true;
            let notice = format!(
                "{} F [triggerfish: the log is larger than {} MiB; the rest is dropped]\n",
                clock::precise(Timestamp::now()),
                LIMIT >> 20
            );
            self.file.write_all(notice.as_bytes())?;
            self.written += notice.len() as u64;
        } else {
            self.file.write_all(buffer)?;
            self.written += buffer.len() as u64;
        }
        self.tell.send_replace(self.written);
        Ok(())
    }

    /// Writes what has no newline yet.
    pub fn finish(&mut self) -> io::Result<()> {
        let now = clock::precise(Timestamp::now());
        let mut buffer = Vec::new();
        for partial in &mut self.partial {
            if !partial.is_empty() {
                partial.push(b'\n');
                line(&mut buffer, &now, 'F', partial);
                partial.clear();
            }
        }
        self.append(&buffer)
    }
}

fn line(out: &mut Vec<u8>, now: &str, tag: char, text: &[u8]) {
    out.extend_from_slice(now.as_bytes());
    out.extend_from_slice(&[b' ', tag as u8, b' ']);
    out.extend_from_slice(text);
    if !text.ends_with(b"\n") {
        out.push(b'\n');
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.logs.live.lock().unwrap_or_else(|e| e.into_inner()).remove(&self.uid);
    }
}
