//! A keep-alive HTTP/1.1 client that costs little, so that the load does not drown what it measures.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: String,
}

impl Connection {
    pub fn open(address: &str, token: &str, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\nContent-Type: application/json\r\nContent-Length: "
        );
        Ok(Self { stream, buffer: vec![0; 16 * 1024], head })
    }

    /// With another media type than JSON's.
    pub fn saying(mut self, content_type: &str) -> Self {
        self.head = self.head.replace("application/json", content_type);
        self
    }

    /// Posts a body; the status and the answer's head.
    pub fn post(&mut self, body: &str) -> io::Result<(u16, String)> {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.exchange(&request)
    }

    /// Sends a request that is written out; the status and the answer's head.
    pub fn exchange(&mut self, request: &str) -> io::Result<(u16, String)> {
        self.stream.write_all(request.as_bytes())?;
        let mut got = 0;
        loop {
            let n = self.stream.read(&mut self.buffer[got..])?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            got += n;
            let text = &self.buffer[..got];
            let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&text[..end]).into_owned();
            let length: usize = head
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("content-length:").and_then(|v| v.trim().parse().ok()))
                .unwrap_or(0);
            if got >= end + 4 + length {
                let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                return Ok((status, head));
            }
        }
    }
}
