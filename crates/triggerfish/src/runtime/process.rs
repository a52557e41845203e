//! One Pod as a process group: started in its own view, its output captured, its whole tree ended with it.
//!
//! Each Pod has a thread: it makes the view, starts the command (by posix_spawn, so that the size of this process does not
//! matter), reads its output, waits for it, and reads what it left behind.

use super::logs::{Logs, Writer};
use super::{Engine, Job, POD_UID, container, view};
use crate::workflow::{Outputs, SCRIPT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::sync::oneshot;

/// What is kept of standard output as the result, in bytes from the end; the same as the original.
const RESULT: usize = 256 * 1024;
/// The largest output parameter, in bytes.
const PARAMETER: u64 = 256 * 1024;
/// The search path when a Pod gives none.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a Pod ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub exit_code: i32,
    /// `Completed`, `Error`, `StartError`.
    pub reason: &'static str,
    pub message: String,
    pub outputs: Outputs,
}

/// A Pod that was started.
#[derive(Clone)]
pub struct Handle {
    /// The process group; 0 before the start and after the end.
    group: Arc<AtomicI32>,
}

impl Handle {
    /// Asks the whole group to end, or makes it.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.group.load(Ordering::Acquire)) {
            // A group that is gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

pub struct Place {
    /// The folder of this Pod, made when it is needed: working directory and script where there is no view.
    pub dir: PathBuf,
    /// Where views are mounted; an empty folder.
    pub view: PathBuf,
    /// The server's own data, which no Pod sees.
    pub hidden: PathBuf,
}

/// Starts a Pod. The receiver gets how it ended.
pub fn start(
    job: Job,
    engine: Engine,
    place: Place,
    logs: &Logs,
) -> Result<(Handle, oneshot::Receiver<Ended>), String> {
    // From here on the Pod counts as started: after a crash it is not started again.
    let log = logs.writer(&job.uid).map_err(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            "the Pod was started before".to_owned()
        } else {
            format!("cannot write the log: {e}")
        }
    })?;
    let (tell, ended) = oneshot::channel();
    let handle = Handle { group: Arc::new(AtomicI32::new(0)) };
    let group = handle.group.clone();
    let run = move || {
        let outcome = run(&job, engine, &place, log, &group);
        group.store(0, Ordering::Release);
        // The server is going down when nobody listens.
        let _ = tell.send(outcome);
    };
    std::thread::Builder::new()
        .name("pod".into())
        .stack_size(256 * 1024)
        .spawn(run)
        .map_err(|e| format!("cannot start a thread for the Pod: {e}"))?;
    Ok((handle, ended))
}

fn not_started(message: String) -> Ended {
    Ended { exit_code: 128, reason: "StartError", message, outputs: Outputs::default() }
}

fn run(job: &Job, engine: Engine, place: &Place, mut log: Writer, group: &AtomicI32) -> Ended {
    let isolated = match engine {
        Engine::Process => view::enter(&place.view, &place.hidden),
        _ => Err("the container engine isolates".into()),
    };
    if let Err(why) = &isolated {
        tracing::debug!(pod = job.name, why, "no view of its own; using folders of its own only");
    }
    let mut child = match spawn(job, engine, place, isolated.is_ok()) {
        Ok(c) => c,
        Err(message) => return not_started(message),
    };
    group.store(child.id() as i32, Ordering::Release);
    let mut result = Vec::new();
    if let Err(e) = pump(&mut child, &mut log, &mut result) {
        tracing::warn!(pod = job.name, error = %e, "output of a Pod could not be captured");
    }
    let status = child.wait();
    // Whatever the command left running ends with it.
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    if let Err(e) = log.finish() {
        tracing::warn!(pod = job.name, error = %e, "the log of a Pod could not be finished");
    }
    let exit_code = match status {
        Ok(s) => s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)),
        Err(e) => return not_started(format!("cannot wait for the command: {e}")),
    };
    let mut outputs = Outputs::default();
    for (name, path) in &job.outputs {
        let found = match engine.program() {
            Some(program) => {
                container::copy(program, &job.uid, path, &place.dir).and_then(|file| read_parameter(&file))
            }
            None if isolated.is_ok() => read_parameter(Path::new(path)),
            None => read_parameter(&place.dir.join("work").join(path.trim_start_matches('/')))
                .or_else(|_| read_parameter(Path::new(path))),
        };
        // A missing file is told by who knows whether there is a default.
        if let Ok(text) = found {
            outputs.parameters.insert(name.clone(), text);
        }
    }
    if let Some(program) = engine.program() {
        container::remove(program, &job.uid);
    }
    let text = String::from_utf8_lossy(&result);
    outputs.result = Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()).filter(|t| !t.is_empty());
    Ended { exit_code, reason: if exit_code == 0 { "Completed" } else { "Error" }, message: String::new(), outputs }
}

fn read_parameter(path: &Path) -> io::Result<String> {
    let mut raw = Vec::new();
    fs::File::open(path)?.take(PARAMETER).read_to_end(&mut raw)?;
    let text = String::from_utf8_lossy(&raw).into_owned();
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

fn spawn(job: &Job, engine: Engine, place: &Place, isolated: bool) -> Result<Child, String> {
    let fail = |what: &str, e: io::Error| format!("cannot prepare the Pod: {what}: {e}");
    let script = if isolated { PathBuf::from(SCRIPT) } else { place.dir.join("script") };
    if let Some(source) = &job.script {
        if let Some(parent) = script.parent() {
            fs::create_dir_all(parent).map_err(|e| fail("the script's folder", e))?;
        }
        fs::write(&script, source).map_err(|e| fail("the script", e))?;
    }
    // A container finds its script where its Pod says.
    let arguments =
        if engine == Engine::Process { job.arguments_with(&script.to_string_lossy()) } else { job.arguments.clone() };
    let mut command = match engine.program() {
        None => Command::new(resolve(job)?),
        Some(program) => container::run(program, job, &script),
    };
    command.args(arguments);
    if engine == Engine::Process {
        command.env_clear().env("PATH", SEARCH_PATH).env("HOME", "/root").env("HOSTNAME", &job.name);
        let dir = match (&job.working_dir, isolated) {
            (Some(d), true) => {
                fs::create_dir_all(d).map_err(|e| fail("the working directory", e))?;
                d.clone()
            }
            (None, true) => PathBuf::from("/"),
            (given, false) => {
                let temporary = place.dir.join("tmp");
                let work = place.dir.join("work");
                for d in [&temporary, &work] {
                    fs::create_dir_all(d).map_err(|e| fail("its folders", e))?;
                }
                command.env("TMPDIR", temporary);
                given.clone().filter(|d| d.is_dir()).unwrap_or(work)
            }
        };
        command.current_dir(dir);
        command.envs(&job.environment);
    }
    command.env(POD_UID, &job.uid);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => missing(job, engine),
        io::ErrorKind::PermissionDenied => format!("the command {:?} may not be executed: {e}", job.program),
        _ => format!("the command {:?} could not be started: {e}", job.program),
    })
}

fn missing(job: &Job, engine: Engine) -> String {
    match engine.program() {
        Some(program) => format!("{program} was not found on this host; install it, or start with --runtime process"),
        None => format!(
            "the command {:?} was not found: the process runtime runs it on this host and does not use the image {}; install {:?} here, or start triggerfish with --runtime podman (or docker) to run the image",
            job.program, job.image, job.program
        ),
    }
}

/// The file of a program, looked for as a shell would.
fn resolve(job: &Job) -> Result<PathBuf, String> {
    if job.program.contains('/') {
        return Ok(PathBuf::from(&job.program));
    }
    let search = job.environment.get("PATH").map_or(SEARCH_PATH, String::as_str);
    let candidates = search.split(':').map(|d| Path::new(d).join(&job.program));
    candidates.into_iter().find(|p| p.is_file()).ok_or_else(|| missing(job, Engine::Process))
}

/// Reads both outputs until the command has ended and nothing more comes.
fn pump(child: &mut Child, log: &mut Writer, result: &mut Vec<u8>) -> io::Result<()> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| io::Error::other("the command has no process id"))?;
    let alive = pidfd_open(pid, PidfdFlags::empty())?;
    let mut ended = false;
    let mut buffer = vec![0; 16 * 1024];
    while out.is_some() || err.is_some() {
        let mut ready = [false; 2];
        {
            let mut fds = Vec::with_capacity(3);
            let mut which = Vec::with_capacity(3);
            if let Some(o) = &out {
                fds.push(PollFd::new(o, PollFlags::IN));
                which.push(0);
            }
            if let Some(e) = &err {
                fds.push(PollFd::new(e, PollFlags::IN));
                which.push(1);
            }
            if !ended {
                fds.push(PollFd::new(&alive, PollFlags::IN));
                which.push(2);
            }
            // After the end, what is in the pipes is taken and nothing is waited for: others may hold them open.
            let timeout = ended.then_some(Timespec { tv_sec: 0, tv_nsec: 0 });
            let n = match poll(&mut fds, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if n == 0 {
                return Ok(());
            }
            for (fd, w) in fds.iter().zip(&which) {
                if !fd.revents().is_empty() {
                    if *w == 2 { ended = true } else { ready[*w] = true }
                }
            }
        }
        if ready[0] && take(&mut out, 0, log, Some(result), &mut buffer)? {
            out = None;
        }
        if ready[1] && take(&mut err, 1, log, None, &mut buffer)? {
            err = None;
        }
    }
    Ok(())
}

/// Reads once; true at the end of the stream.
fn take<R: Read>(
    stream: &mut Option<R>,
    index: usize,
    log: &mut Writer,
    result: Option<&mut Vec<u8>>,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let Some(s) = stream else { return Ok(true) };
    let n = match s.read(buffer) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(false),
        other => other?,
    };
    if n == 0 {
        return Ok(true);
    }
    log.write(index, &buffer[..n])?;
    if let Some(r) = result {
        r.extend_from_slice(&buffer[..n]);
        if r.len() > RESULT * 2 {
            r.drain(..r.len() - RESULT);
        }
    }
    Ok(false)
}

/// Ends processes that an earlier life of this server left behind for a Pod; the number that were found.
pub fn kill_strays(uid: &str) -> usize {
    let mark = format!("{POD_UID}={uid}");
    let mut found = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|b| *b == 0).any(|v| v == mark.as_bytes()) {
            found += 1;
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    found
}
