//! A real server for tests: the built program on ports and a directory of its own, and plain HTTP to talk to it.
#![allow(dead_code, clippy::unwrap_used)]

pub mod peers;
pub mod sink;
pub mod vendor;

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Server {
    child: Option<Child>,
    pub dir: tempfile::TempDir,
    pub http: String,
    arguments: Vec<String>,
    /// Variables of the next launch.
    pub environment: Vec<(String, String)>,
    panicked: Arc<AtomicBool>,
    /// What it has logged since it was ready.
    said: Arc<Mutex<String>>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        Self::start_with(arguments, Vec::new())
    }

    pub fn start_with(arguments: &[&str], environment: Vec<(String, String)>) -> Server {
        let dir = tempfile::Builder::new().prefix("triggerfish-test-").tempdir().unwrap();
        let mut s = Server {
            child: None,
            dir,
            http: String::new(),
            panicked: Arc::default(),
            said: Arc::default(),
            environment,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        s.launch();
        s
    }

    pub fn launch(&mut self) {
        let own = self.arguments.iter().any(|a| a == "--log");
        let log: &[&str] = if own { &[] } else { &["--log", "warn"] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_triggerfish"))
            .args([
                "serve",
                "--http-address",
                "127.0.0.1:0",
                "--kube-address",
                "127.0.0.1:0",
                "--notification-address",
                "127.0.0.1:0",
                "--receiver-address",
                "127.0.0.1:0",
            ])
            .args(log)
            .arg("--data-dir")
            .arg(self.data())
            .args(&self.arguments)
            .env_remove("KUBECONFIG")
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut begun = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            begun.push_str(&line);
            begun.push('\n');
            if line.contains("data  ") {
                break;
            }
        }
        // What it says later must not fill the pipe; it is shown when a test fails.
        let (panicked, said) = (self.panicked.clone(), self.said.clone());
        std::thread::spawn(move || {
            for l in lines.map_while(Result::ok) {
                panicked.fetch_or(l.contains("panicked at"), Ordering::Relaxed);
                said.lock().unwrap().push_str(&format!("{l}\n"));
                eprintln!("server: {l}");
            }
        });
        self.http = std::fs::read_to_string(self.data().join("http-address"))
            .unwrap_or_else(|_| panic!("the server did not start:\n{begun}"))
            .trim()
            .to_owned();
        self.child = Some(child);
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    pub fn kubeconfig(&self) -> PathBuf {
        self.data().join("kubeconfig")
    }
    pub fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// As by `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut c) = self.child.take() {
            let _ = c.kill();
            let _ = c.wait();
        }
    }

    /// As by SIGTERM; the exit code.
    pub fn stop(&mut self) -> i32 {
        let mut c = self.child.take().unwrap();
        assert!(Command::new("kill").arg(c.id().to_string()).status().unwrap().success());
        c.wait().unwrap().code().unwrap_or(-1)
    }

    /// Runs this program as a client of the server.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut c = Command::new(env!("CARGO_BIN_EXE_triggerfish"));
        c.args(arguments).arg("--data-dir").arg(self.data()).env_remove("KUBECONFIG");
        Output::of(c)
    }

    /// Applies manifests as the admin.
    pub fn apply(&self, manifest: &str) {
        let file = self.dir.path().join("apply.yaml");
        std::fs::write(&file, manifest).unwrap();
        let out = self.cli(&["apply", "-f", file.to_str().unwrap()]);
        assert!(out.ok, "{}{}", out.stdout, out.stderr);
    }

    pub fn token(&self, account: &str) -> String {
        let out = self.cli(&["token", account]);
        assert!(out.ok, "{}", out.stderr);
        format!("Bearer {}", out.stdout.trim())
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        request(&self.http, "GET", path, &[("Authorization", token)], b"")
    }
    pub fn post(&self, path: &str, token: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("Authorization", token)];
        all.extend_from_slice(headers);
        request(&self.http, "POST", path, &all, body.as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn of(mut c: Command) -> Output {
        let o = c.output().unwrap();
        Output {
            ok: o.status.success(),
            stdout: String::from_utf8_lossy(&o.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&o.stderr).into_owned(),
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 request, sent exactly as given.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_request(address, method, path, headers, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

pub fn try_request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let host = if headers.iter().any(|(k, _)| k.eq_ignore_ascii_case("host")) {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let mut head = format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n").into_bytes();
    for (k, v) in headers {
        head.extend_from_slice(format!("{k}: {v}\r\n").as_bytes());
    }
    head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    stream.write_all(&head)?;
    stream.write_all(body)?;
    read_answer(&mut BufReader::new(stream), method == "HEAD")
}

pub fn read_answer(r: &mut impl BufRead, head_only: bool) -> std::io::Result<Answer> {
    let broken = |what: &str| std::io::Error::other(what.to_owned());
    let mut line = String::new();
    r.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        r.read_line(&mut line)?;
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        let (k, v) = text.split_once(':').ok_or_else(|| broken("bad header"))?;
        headers.push((k.to_owned(), v.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only || status == 204 || status == 304 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding") == "chunked" {
        loop {
            line.clear();
            r.read_line(&mut line)?;
            let n = usize::from_str_radix(line.trim(), 16).map_err(|_| broken("bad chunk"))?;
            let mut chunk = vec![0; n + 2];
            r.read_exact(&mut chunk)?;
            if n == 0 {
                return Ok(answer);
            }
            answer.body.extend_from_slice(&chunk[..n]);
        }
    }
    match answer.header("content-length").parse() {
        Ok(n) => {
            answer.body = vec![0; n];
            r.read_exact(&mut answer.body)?;
        }
        Err(_) => drop(r.read_to_end(&mut answer.body)?),
    }
    Ok(answer)
}

/// Waits for something that must happen.
pub fn eventually<T>(what: &str, f: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(30), what, f)
}

pub fn within<T>(patience: Duration, what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(x) = f() {
            return x;
        }
        assert!(Instant::now() < deadline, "did not happen in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a program is there; says so if it is not.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|d| d.join(program).is_file());
    if !found {
        println!("skipped: no {program}");
    }
    found
}

/// A kubectl to test with: `KUBECTL`, the one that `scripts/get-kubectl` made, or the one on the path.
pub fn kubectl() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/kubectl");
    let given = std::env::var_os("KUBECTL").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    given.into_iter().chain([made]).chain(std::env::split_paths(&path).map(|d| d.join("kubectl"))).find(|p| p.is_file())
}
