//! An HTTP server that keeps what it is sent and answers as it is told.

use super::{Answer, read_answer};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// What a request is answered with: the head after `HTTP/1.1 `, such as `200 OK`, and the body. None: the connection is cut.
pub type Answers = dyn Fn(&Sent) -> Option<(String, String)> + Send + Sync;

#[derive(Clone)]
pub struct Sink {
    pub port: u16,
    got: Arc<Mutex<Vec<Sent>>>,
}

impl Sink {
    /// Answers everything with 200.
    pub fn start() -> Sink {
        Self::answering(|_| Some(("200 OK".into(), String::new())))
    }

    pub fn answering(answers: impl Fn(&Sent) -> Option<(String, String)> + Send + Sync + 'static) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Sink { port: listener.local_addr().unwrap().port(), got: Arc::default() };
        let (got, answers): (_, Arc<Answers>) = (sink.got.clone(), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (got, answers) = (got.clone(), answers.clone());
                std::thread::spawn(move || conversation(stream, &got, answers.as_ref()));
            }
        });
        sink
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn got(&self) -> Vec<Sent> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub fn wait(&self, count: usize) -> Vec<Sent> {
        super::eventually(&format!("{count} requests come to the sink"), || {
            Some(self.got()).filter(|g| g.len() >= count)
        })
    }
}

fn conversation(stream: TcpStream, got: &Mutex<Vec<Sent>>, answers: &Answers) {
    let mut reader = BufReader::new(stream);
    while let Some(sent) = request(&mut reader) {
        let answer = answers(&sent);
        got.lock().unwrap().push(sent);
        let Some((head, body)) = answer else { return };
        let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if reader.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(r: &mut impl BufRead) -> Option<Sent> {
    let mut line = String::new();
    r.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        line.clear();
        r.read_line(&mut line).ok()?;
        let Some((k, v)) = line.trim_end().split_once(':') else { break };
        headers.push((k.to_owned(), v.trim().to_owned()));
    }
    let mut sent = Sent { method, target, headers, body: Vec::new() };
    sent.body = vec![0; sent.header("content-length").parse().unwrap_or(0)];
    r.read_exact(&mut sent.body).ok()?;
    Some(sent)
}

/// Sends bytes as they are; the answer.
pub fn raw(address: &str, bytes: &[u8], head_only: bool) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
    // A server that has heard enough may answer before it has it all.
    let _ = stream.write_all(bytes);
    read_answer(&mut BufReader::new(stream), head_only)
}
